"""Hypothesis on a shared machine: no deadline for one example, the seed of a failure is printed."""

from hypothesis import settings

settings.register_profile("ensue", deadline=None, print_blob=True)
settings.load_profile("ensue")
