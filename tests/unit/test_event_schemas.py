"""Schemas of event names in the registry: registered with reasons, followed while it comes and goes."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from schemas.event_type import EventType
from streams.errors import BadInput, Transport
from streams.registry.app import build_app
from streams.registry.client import HttpRegistry, RegistryUnreachable
from streams.registry.event_schemas import EventSchemas
from streams.registry.type_follower import TypeFollower
from tests.registry_in_memory import InProcess, registry

pytestmark = pytest.mark.unit


def schema(*fields: Any) -> str:
    """A record OrderPaid."""
    return json.dumps({"type": "record", "name": "OrderPaid", "fields": list(fields)})


X = {"name": "x", "type": "long"}
Y = {"name": "y", "type": "long", "default": 0}


class Door(httpx.BaseTransport):
    """The registry's application, which can be away, and which counts what it is asked."""

    def __init__(self, app: Any) -> None:
        self._inner = InProcess(app)
        self.away = False
        self.old = False  # a registry that has no list of schemas
        self.answers: list[tuple[str, int]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or not."""
        if self.away:
            raise httpx.ConnectError("refused")
        if self.old and request.url.path == "/schemas":
            return httpx.Response(404, json={})
        answer = self._inner.handle_request(request)
        self.answers.append((request.url.path, answer.status_code))
        return answer


@pytest.fixture
def door() -> Iterator[Door]:
    """A registry in memory."""
    with registry() as made:
        yield Door(build_app(made.service))


def schemas_at(door: Door) -> EventSchemas:
    """A client of its own."""
    return EventSchemas(HttpRegistry("http://127.0.0.1:4290", transport=door, timeout_s=1), "ensue.")


def test_registering_listing_and_evolving(door: Door) -> None:
    """The first version, the same again, a compatible second, and the first again: numbers and ids stay."""
    schemas = schemas_at(door)
    first = schemas.register("order.paid", schema(X))
    assert (first.version, first.new, first.subject) == (1, True, "ensue.event.order.paid-value")
    assert not schemas.register("order.paid", json.dumps(json.loads(schema(X)), indent=2)).new
    second = schemas.register("order.paid", schema(X, Y))
    assert (second.version, second.new) == (2, True)
    assert schemas.register("order.paid", schema(X)).version == 1
    kind = schemas_at(door).types()["order.paid"]
    assert [version.number for version in kind.versions] == [2, 1]
    assert kind.newest.schema_id == second.schema_id


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("order.paid", schema({"name": "x", "type": "string"}), r"OrderPaid.x: the new schema cannot read"),
        ("order.paid", schema(X, {"name": "z", "type": "long"}), r"OrderPaid.z: .*give it a default"),
        ("order.paid", schema({"name": "x", "type": ["long", "string"]}), "field x is a union"),
        ("order.paid", "{", "not an Avro schema"),
        ("order_paid", schema(X), "share the SQL view events_order_paid with order.paid"),
        ("order.*", schema(X), "not to a pattern"),
        ("ensue.run.failed", schema(X), "are ours"),
    ],
)
def test_what_is_refused_is_said(door: Door, name: str, text: str, reason: str) -> None:
    """A breaking, ambiguous or misnamed schema is refused with field and reason, and nothing is written."""
    schemas = schemas_at(door)
    schemas.register("order.paid", schema(X))
    with pytest.raises(BadInput, match=reason):
        schemas.register(name, text)
    assert {name: len(kind.versions) for name, kind in schemas.types().items()} == {"order.paid": 1}


def test_an_unchanged_registry_costs_one_short_answer(door: Door) -> None:
    """Asked again, the registry says 304 until something is registered."""
    schemas = schemas_at(door)
    schemas_at(door).register("order.paid", schema(X))
    assert list(schemas.changed() or {}) == ["order.paid"]
    assert schemas.changed() is None
    assert door.answers[-1] == ("/schemas", 304)
    schemas_at(door).register("order.sent", schema(X))
    assert sorted(schemas.changed() or {}) == ["order.paid", "order.sent"]


def test_a_registry_without_the_list_is_asked_by_subject(door: Door) -> None:
    """Where GET /schemas is not known, subjects are asked one by one; unchanged is noticed all the same."""
    schemas_at(door).register("order.paid", schema(X))
    door.old = True
    schemas = schemas_at(door)
    assert list(schemas.changed() or {}) == ["order.paid"]
    assert schemas.changed() is None


def test_schemas_registered_past_us_that_mean_nothing_are_left_out(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    """A union of two types under our subject is told in the log; the usable version stays in force."""
    schemas_at(door).register("order.paid", schema(X))
    client = HttpRegistry("http://127.0.0.1:4290", transport=door, timeout_s=1)
    client.register("ensue.event.order.paid-value", schema(X, {**Y, "type": ["long", "string"]}))
    client.register("ensue.event.bad-value", '"string"')
    types = schemas_at(door).types()
    assert [version.number for version in types["order.paid"].versions] == [1]
    assert list(types) == ["order.paid"]
    assert "version 2 of the schema of order.paid counts for nothing: field y" in caplog.text


def test_the_registry_away(door: Door) -> None:
    """One sentence, no retry storm: the caller decides."""
    door.away = True
    with pytest.raises(RegistryUnreachable, match="does not answer"):
        schemas_at(door).types()


def until(true: Callable[[], bool]) -> None:
    """Wait, five seconds at most."""
    deadline = time.monotonic() + 5
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


def test_following_survives_an_outage_and_a_taker_that_fails(door: Door) -> None:
    """What is known stays while the registry is away; a taker that failed is given the same again."""
    taken: list[Mapping[str, EventType]] = []
    failing = [True]

    def take(types: Mapping[str, EventType]) -> None:
        if failing.pop() if failing else False:
            raise Transport("the store is away")
        taken.append(types)

    schemas_at(door).register("order.paid", schema(X))
    follower = TypeFollower(schemas_at(door), take, every_s=0.01)
    follower.start()
    until(lambda: [list(one) for one in taken] == [["order.paid"]])
    door.away = True
    time.sleep(0.05)
    assert len(taken) == 1
    door.away = False
    schemas_at(door).register("order.sent", schema(X))
    until(lambda: len(taken) == 2)
    assert sorted(taken[-1]) == ["order.paid", "order.sent"]
    follower.close()
