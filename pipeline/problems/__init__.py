"""What can be wrong with params.yaml, all of it at once, one line each.

Reading the text (`reading`), single fields (`fields`), fields that contradict each other (`contradictions`)
and the ladder (`ladder`). Nothing here knows the objects of `pipeline.params`, which calls it.
"""
