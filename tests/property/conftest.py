"""Hypothesis on a shared machine: no deadline for one example, the seed of a failure is printed.

CI judges a change by the same examples each time; on a person's machine they are drawn anew.
"""

import os

from hypothesis import settings

settings.register_profile("ensue", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("ensue"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "ensue")
