"""What can be wrong with params.yaml, one line each.

The text (`reading`), single fields (`fields`), and fields that contradict each other: `task` (with data and
model), `ladder` (names, parents, first weights, durations, claims), `precision`, `distillation`.
"""
