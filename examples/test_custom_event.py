"""The flow of custom_event.py looks at labels and is given the event."""

import pytest

from examples.custom_event import confirm_order
from flows.testing import Harness, make_event

pytestmark = pytest.mark.unit


def test_an_order_is_confirmed() -> None:
    """An order with the right labels starts a run that sees the payload."""
    labels = {"resource.id": "order.17", "country": "at", "channel": "web"}
    (run,) = Harness(confirm_order).send(make_event("order.created", labels, payload={"customer": "Ann"}))
    assert run.result == "Ann: order.17 is on its way"


def test_a_missing_label_matches_nothing() -> None:
    """An order without a channel starts nothing: a missing label satisfies no pattern, not even `!test`."""
    labels = {"resource.id": "order.18", "country": "at"}
    assert Harness(confirm_order).send(make_event("order.created", labels)) == []
