"""`bitladder search`: which rungs, from which, on which rows, for what share of the steps, how fast.

`space` reads and checks a file of conf/search/, `drawing` makes a ladder of choices, `kept` trains its rungs
and finds those that are trained already, `study` asks Optuna for choices and goes on after a stop, `outcome`
writes what was found, `shown` tells how far it is, `command` puts them together.
"""
