"""For every test: the same examples on every machine; no time limit on the first one, which imports torch."""

from hypothesis import settings

settings.register_profile("bitladder", deadline=None, derandomize=True)
settings.load_profile("bitladder")
