"""Every kind of training, rehearsed: the real stages, a few steps on a few rows, in a folder of their own.

`python -m flows.rehearsal FOLDER` in the project's root, started by `flows.measure`. FOLDER holds
request.json, {"rungs": [names]}; a JSON line per finished piece goes to standard output, everything else to
FOLDER/log.txt.
"""

REQUEST, LOG = "request.json", "log.txt"
GIVEN_UP = 10  # exit code: a piece failed without which there is nothing to measure
