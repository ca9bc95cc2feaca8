"""Packed models: `import pipeline.packing` makes transformers' Auto classes load them."""

from pipeline.packing.model import register

register()
