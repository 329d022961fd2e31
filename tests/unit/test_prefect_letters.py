"""Dead letters of Prefect's clients can be mended and retried."""

import json

import pytest

from streams.errors import Poison
from streams.gateway.item import Writer
from streams.gateway.prefect.letters import PrefectLetters, with_letters
from streams.inbound import Delivery, Taken, Unauthenticated
from streams.settings import LimitSettings
from tests.live_case import CODEC, prefect_event

pytestmark = pytest.mark.unit
WRITER = Writer(header=CODEC.header("event"), partitions=8, limits=LimitSettings())
LETTERS = PrefectLetters(WRITER, CODEC)


def read(body: object) -> Taken:
    """Read a letter again."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    outcome = LETTERS.read_again(Delivery(body=raw, at_s=1_769_860_800.5))
    assert isinstance(outcome, Taken)
    return outcome


def test_a_mended_event_is_taken_with_its_id() -> None:
    """The client's id stays, so that its own resend is no second event."""
    sent = prefect_event(1, related=[{"prefect.resource.id": "f", "prefect.resource.role": "flow"}])
    event = read(sent).events[0]
    assert (event.id, event.event, event.source) == (sent["id"], "order.created", "prefect")
    assert (event.resource_id, event.payload) == ("order.1", {"number": 1})
    assert [dict(labels) for labels in event.related] == sent["related"]


def test_what_lacks_id_or_time_gets_the_same_ones_each_time() -> None:
    """Two retries of a letter give one event."""
    sent = {**prefect_event(1), "id": None, "occurred": None}
    first, second = read(sent).events[0], read(sent).events[0]
    assert (first.id, first.occurred) == (second.id, second.occurred)
    assert first.occurred.isoformat() == "2026-01-31T12:00:00.500000+00:00"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"7", {"event": "a"}, {**prefect_event(1), "event": "ensue.x"}]
)
def test_what_is_still_no_event_is_poison(body: object) -> None:
    """The letter stays, with the reason."""
    with pytest.raises(Poison, match="no event"):
        read(body)


def test_it_opens_no_door() -> None:
    """Nobody can post to /hooks/prefect; a configured source of that name goes first."""
    with pytest.raises(Unauthenticated):
        LETTERS.receive(Delivery(), {})  # type: ignore[arg-type]
    assert isinstance(with_letters({}, WRITER, CODEC).get("prefect"), PrefectLetters)
    assert with_letters({"prefect": LETTERS}, WRITER, CODEC).get("prefect") is LETTERS
