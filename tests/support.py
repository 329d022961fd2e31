"""What tests of several kinds share."""

import os
from typing import NoReturn

import pytest


def service_missing(reason: str) -> NoReturn:
    """Skip on a laptop, fail in CI: a missing service never makes CI green."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
