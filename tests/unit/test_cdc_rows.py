"""Debezium's envelope as events: names, labels, identity, what changed, and values that the log lacks."""

import json
from typing import Any

import pytest

from schemas.event import Event
from streams.sources.cdc.change import Origin, change_of
from streams.sources.cdc.names import is_adjusted, name_of
from streams.sources.cdc.row_event import row_event
from streams.sources.cdc.unchanged import Placeholder
from streams.sources.fields import Unusable
from streams.wiring.check_request import captured, check

pytestmark = pytest.mark.unit

TOAST = Placeholder("__ensue_unavailable_value")
ORIGIN = Origin(system="7431", timeline="1", scope="s1")
SOURCE = {
    "connector": "postgresql",
    "name": "shop",
    "ts_us": 1_800_000_000_123_456,
    "db": "orders db",
    "schema": "public",
    "table": "orders",
    "txId": 771,
    "lsn": 26_000_016,
    "snapshot": "false",
}
PAID = {"id": 7, "status": "paid", "note": "x"}
OPEN = {"id": 7, "status": "open", "note": "x"}


def envelope(
    op: str = "u", *, order: int = 2, source: dict[str, Any] | None = None, **rows: Any
) -> dict[str, Any]:
    """A record's value."""
    return {
        "before": OPEN,
        "after": PAID,
        "source": {**SOURCE, **(source or {})},
        "transaction": {"id": "771:26000016", "total_order": order, "data_collection_order": 1},
        "op": op,
        **rows,
    }


def event(value: Any = None, key: Any = None, origin: Origin = ORIGIN, *, adjusted: bool = False) -> Event:
    """Its event."""
    key = {"id": 7} if key is None else key
    return row_event(change_of(value or envelope(), key, adjusted=adjusted), origin, TOAST, "shop")


def test_an_update_says_what_it_was_what_it_is_and_what_changed() -> None:
    """Name, resource, labels and payload of DESIGN section 4, times to the microsecond."""
    found = event()
    assert (found.event, found.source) == ("table.row.updated", "shop")
    assert found.resource_id == "postgres://shop/orders%20db/public/orders/7"
    assert found.resource == {
        "resource.id": found.resource_id,
        "provider": "postgres",
        "server": "shop",
        "database": "orders db",
        "schema": "public",
        "table": "orders",
        "key": "7",
        "op": "updated",
    }
    assert found.occurred.isoformat() == "2027-01-15T08:00:00.123456+00:00"
    assert found.payload == {
        "before": OPEN,
        "after": PAID,
        "changed": ["status"],
        "lsn": "26000016",
        "transaction": {"id": "771", "order": 2},
        "snapshot": False,
    }


@pytest.mark.parametrize(
    ("op", "before", "after", "name", "changed"),
    [
        ("c", None, PAID, "table.row.created", []),
        ("u", None, PAID, "table.row.updated", None),
        ("d", OPEN, None, "table.row.deleted", []),
        ("r", None, PAID, "table.row.read", []),
        ("t", None, None, "table.truncated", []),
    ],
)
def test_every_operation_has_its_name(
    op: str, before: Any, after: Any, name: str, changed: list[str] | None
) -> None:
    """What the log does not tell (REPLICA IDENTITY DEFAULT) is null, never made up."""
    found = event(envelope(op, before=before, after=after))
    assert (found.event, found.payload["changed"]) == (name, changed)
    assert (found.payload["before"], found.payload["after"]) == (before, after)


def test_an_identity_follows_the_logs_place() -> None:
    """Read again it is the same; another system, timeline, transaction or order is another event."""
    ids = {
        event().id,
        event(origin=Origin(system="7432", timeline="1")).id,
        event(origin=Origin(system="7431", timeline="2")).id,
        event(envelope(order=3)).id,
        event(envelope(source={"txId": 772})).id,
    }
    assert len(ids) == 5
    # A snapshot scope, a later clock of the connector and the log's address do not matter to a change.
    again = {**envelope(), "ts_ms": 5}
    assert event(again, origin=Origin(system="7431", timeline="1", scope="s2")).id == event().id
    assert event(envelope(source={"lsn": 26_000_017})).id == event().id


def test_a_snapshots_row_is_itself_within_its_scope() -> None:
    """A snapshot that begins anew reads the same rows at other times and places: the same events."""

    def read(scope: str = "s1", **changes: Any) -> str:
        source = {"snapshot": "true", **changes}
        return event(envelope("r", before=None, source=source), origin=Origin(system="7431", scope=scope)).id

    assert read() == read(ts_us=1_900_000_000_000_000, lsn=99, txId=1) == read(snapshot="first")
    assert read("s2") != read()
    other = envelope("r", before=None, after={**PAID, "status": "late"}, source={"snapshot": "true"})
    assert event(other, origin=Origin(system="7431", scope="s1")).id != read()


def test_without_transaction_metadata_the_row_tells_changes_apart() -> None:
    """Rows of one COPY share an lsn; records of another's connector count once all the same."""
    first, second = envelope("c", before=None, transaction=None), envelope("c", before=None, transaction=None)
    assert event(first).id == event(second).id
    assert event(second, key={"id": 8}).id != event(first).id


def test_keys_of_several_columns_and_none() -> None:
    """A composite key is named column by column, odd characters are kept apart; no key leaves the table."""
    found = event(key={"shop": "a/b,c=d", "no": 7})
    assert found.resource_id.endswith("/orders/shop=a%2Fb%2Cc%3Dd,no=7")
    assert found.resource["key"] == '{"shop":"a/b,c=d","no":7}'
    keyless = row_event(change_of(envelope(), None, adjusted=False), ORIGIN, TOAST, "shop")
    assert keyless.resource_id == "postgres://shop/orders%20db/public/orders"
    assert "key" not in keyless.resource
    truncated = event(envelope("t", before=None, after=None))
    assert truncated.resource_id == "postgres://shop/orders%20db/public/orders"


def test_a_large_value_that_was_left_alone_is_the_one_before_or_none() -> None:
    """TOAST: known from the row before, else left out and named; it did not change."""
    before, after = (
        {**OPEN, "body": "long", "raw": TOAST.text},
        {**PAID, "body": TOAST.text, "raw": TOAST.text},
    )
    found = event(envelope(before=before, after=after)).payload
    assert found["after"] == {**PAID, "body": "long"}
    assert found["before"] == {**OPEN, "body": "long"}
    assert (found["changed"], found["unavailable"]) == (["status"], ["raw"])
    for form in ([TOAST.text], {TOAST.text: TOAST.text}, "X19lbnN1ZV91bmF2YWlsYWJsZV92YWx1ZQ=="):
        found = event(envelope(before=None, after={**PAID, "body": form})).payload
        assert (found["after"], found["unavailable"]) == (PAID, ["body"])


def test_column_names_come_back_as_they_are() -> None:
    """`avro_unicode` is undone exactly, for names of any script, beyond the first plane as well."""
    assert name_of("order_u005fid") == "order_id"
    assert name_of("_u0031st") == "1st"
    assert name_of("gr_u00f6_u00dfe_u0020_ud83e_udd8a") == "größe 🦊"
    assert is_adjusted("order_u005fid")
    assert not is_adjusted("order_id")
    odd = {"order_u005fid": 7}
    found = event(envelope(before=None, after=odd), odd, adjusted=True)
    assert found.payload["after"] == {"order_id": 7}
    assert found.resource_id.endswith("/7")


def test_json_converters_envelope_is_read() -> None:
    """What stands between `schema` and `payload` is the same change."""
    wrapped = {"schema": {"type": "struct"}, "payload": envelope()}
    assert event(wrapped, {"schema": {}, "payload": {"id": 7}}) == event()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (7, "source is missing"),
        ({"op": "c"}, "source is missing"),
        (envelope("x"), "op 'x' is none of"),
        (envelope("d"), "does not go with"),
        (envelope("c", after=None), "does not go with"),
        (envelope("c", after=[1]), "no object"),
        (envelope(source={"table": ""}), "table is missing"),
        (envelope(source={"ts_us": None}), "no time"),
        (envelope(source={"ts_us": 10**19}), "no time"),
        (envelope(source={"lsn": None}, transaction=None), "neither its place"),
    ],
)
def test_what_is_no_change_is_said(value: Any, reason: str) -> None:
    """Each is a sentence for a dead letter."""
    with pytest.raises(Unusable, match=reason):
        event(value)


async def checked(**request: Any) -> dict[str, Any]:
    """What `ensue check-request --source debezium` tells of one record."""
    (captured_one,) = captured(json.dumps([{"name": "n", "body": envelope(), "key": {"id": 7}, **request}]))
    return await check(captured_one, "debezium", now_s=0.0)


async def test_check_request_reads_a_record_of_debezium() -> None:
    """Key and topic stand beside the body; what is no row gives no event, the unusable says why."""
    told = await checked(topic="cdc.shop.public.orders")
    assert (told["status"], told["problem"], len(told["events"])) == (202, None, 1)
    assert told["events"][0]["event"] == "table.row.updated"
    assert told["events"][0]["resource"]["key"] == "7"
    ours = await checked(headers={"ensue.origin": "7431/1/s1"})
    assert ours["events"][0]["id"] == event().id
    assert ours["events"][0]["id"] != told["events"][0]["id"]
    for body in (
        "",
        {"ts_ms": 5},
        {"status": "END", "id": "771:1", "event_count": 2, "data_collections": []},
    ):
        nothing = await checked(body=body)
        assert (nothing["events"], nothing["problem"]) == ([], None)
    for body, reason in (({"op": "u"}, "unusable_record"), ("{", "malformed_json")):
        bad = await checked(body=body)
        assert (bad["events"], bad["problem"]["reason"]) == ([], reason)
