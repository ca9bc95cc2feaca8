"""Packed models: `import pipeline.packing` makes transformers' Auto classes load them.

It imports neither transformers nor torch: packed models run without them (`pipeline.packing.runtime`).
"""

from pipeline.packing import registration

registration.register()
