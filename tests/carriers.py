"""Modules that carry parameters, names, bytes and rows from one place to another, and words to who watches.

What they carry is an input or a fact itself, so that no stage and no training names them.
"""

_OF_PIPELINE = ("durations", "leaves", "params", "paths", "progress", "record", "rungs")
CARRIERS = {f"pipeline.{name}" for name in (*_OF_PIPELINE, "data", "data.tables", "evaluation", "tasks")}
CARRIERS |= {"pipeline", "bitladder", "bitladder.files", "bitladder.shown"}
