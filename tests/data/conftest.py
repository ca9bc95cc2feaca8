"""Property tests here read and write files and import large libraries: time says nothing about them."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
