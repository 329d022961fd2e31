"""Amazon's and MinIO's Records at /hooks/NAME."""

import copy
import json
from typing import Any

import pytest

from schemas.event_record import to_event
from streams.sources.kinds import hook_source
from streams.sources.trust import Trust
from tests.gateway_case import GatewayCase

pytestmark = pytest.mark.unit
RECORD: dict[str, Any] = {
    "eventVersion": "2.0",
    "eventSource": "minio:s3",
    "awsRegion": "",
    "eventTime": "2026-11-22T14:16:32.270Z",
    "eventName": "s3:ObjectCreated:Put",
    "userIdentity": {"principalId": "minio"},
    "s3": {
        "s3SchemaVersion": "1.0",
        "bucket": {"name": "inbox"},
        "object": {
            "key": "data%2Fa+b%2Bc%2F%C3%A9.csv",
            "size": 3,
            "eTag": "05cf",
            "sequencer": "18EA63AC190A6E71",
        },
    },
}
MINIO = {"EventName": "s3:ObjectCreated:Put", "Key": "inbox/data/a b+c/é.csv", "Records": [RECORD]}


def case(token: str | None = None) -> GatewayCase:
    """A gateway with one s3 source."""
    trust = Trust(secrets=(token.encode(),) if token else ())
    return GatewayCase(hooks={"inbox": hook_source("s3", "inbox", lambda: trust)})


async def deliver(gateway: GatewayCase, document: object, **headers: str) -> Any:
    """Send one delivery to the source."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return await gateway.request(
        "POST", "/hooks/inbox", body, {"content-type": "application/json", **headers}
    )


def changed(name: str, **item: object) -> dict[str, Any]:
    """The record with another event name and object fields; None removes one."""
    record = copy.deepcopy(RECORD)
    record["eventName"] = name
    record["s3"]["object"].update(item)
    record["s3"]["object"] = {k: v for k, v in record["s3"]["object"].items() if v is not None}
    return record


async def test_minios_record_becomes_a_storage_event() -> None:
    """The form-encoded key is decoded, labels follow DESIGN 4, the id is the change's own."""
    gateway = case()
    answer = await deliver(gateway, MINIO)
    assert answer.status_code == 202
    event = to_event(gateway.log.events()[0])
    assert answer.json() == {"ids": [event.id]}
    assert event.event == "storage.object.created"
    assert event.resource_id == "s3://inbox/data/a b+c/é.csv"
    assert dict(event.resource) == {
        "resource.id": "s3://inbox/data/a b+c/é.csv",
        "provider": "minio",
        "bucket": "inbox",
        "key": "data/a b+c/é.csv",
        "size": "3",
        "etag": "05cf",
        "sequencer": "18EA63AC190A6E71",
        "raw_event": "ObjectCreated:Put",
    }
    assert event.occurred.isoformat() == "2026-11-22T14:16:32.270000+00:00"
    assert event.source == "inbox"
    assert event.payload["userIdentity"] == {"principalId": "minio"}


async def test_a_redelivery_has_the_same_id_with_and_without_prefix() -> None:
    """Redelivered, with or without `s3:`, a change keeps its id; another change has its own."""
    gateway = case()
    ids = [
        (await deliver(gateway, {"Records": [record]})).json()["ids"][0]
        for record in (
            RECORD,
            changed("ObjectCreated:Put"),
            changed("s3:ObjectCreated:Put", sequencer="18EA63AC190A6E72"),
            changed("s3:ObjectRemoved:Delete"),
        )
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert all(text[14] == "8" for text in ids)


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("ObjectCreated:CompleteMultipartUpload", "created"),
        ("ObjectRemoved:Delete", "deleted"),
        ("ObjectRemoved:DeleteMarkerCreated", "deleted"),
        ("LifecycleExpiration:Delete", "deleted"),
        ("ObjectRestore:Completed", "restored"),
        ("ObjectRestore:Post", "other"),
        ("ObjectTagging:Put", "updated"),
        ("ObjectAcl:Put", "updated"),
        ("s3:ObjectCreated:PutTagging", "updated"),
        ("s3:ObjectAccessed:Get", "other"),
        ("s3:Replication:OperationFailedReplication", "other"),
        ("Something:New", "other"),
    ],
)
async def test_every_operation_has_its_event(name: str, event: str) -> None:
    """Names are mapped by what they mean; unknown ones are kept as `other` with the raw name."""
    gateway = case()
    await deliver(gateway, {"Records": [changed(name, size=None, eTag=None)]})
    record = to_event(gateway.log.events()[0])
    assert record.event == f"storage.object.{event}"
    assert record.resource["raw_event"] == name.removeprefix("s3:")
    assert "size" not in record.resource


async def test_amazons_test_event_is_answered_and_gives_no_event() -> None:
    """The s3:TestEvent that Amazon sends at set-up is 202 and nothing more."""
    gateway = case()
    body = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"}
    answer = await deliver(gateway, body)
    assert (answer.status_code, answer.json(), gateway.log.rows) == (202, {"ids": []}, [])


async def test_records_of_one_key_come_in_the_order_of_their_sequencers() -> None:
    """Sequencers are compared as numbers of any length, whatever the order in the body."""
    gateway = case()
    later, earlier = (changed("s3:ObjectCreated:Put", sequencer=text) for text in ("100", "FF"))
    await deliver(gateway, {"Records": [later, earlier]})
    assert [to_event(r).resource["sequencer"] for r in gateway.log.events()] == ["FF", "100"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"Records": [', "malformed_json"),
        (b"\xff\x00", "malformed_json"),
        ([], "unknown_format"),
        ({"Message": "x"}, "unknown_format"),
        ({"Records": [{"eventVersion": "3.0"}]}, "unusable_record"),
        ({"Records": [7]}, "unusable_record"),
        ({"Records": [changed("s3:ObjectCreated:Put", key="%FF")]}, "unusable_record"),
    ],
)
async def test_what_cannot_be_used_is_kept_whole(body: object, reason: str) -> None:
    """An unusable delivery is in the dead letters with its raw bytes and reason before it is answered."""
    gateway = case()
    answer = await deliver(gateway, body)
    letter = gateway.log.dead_letters()[0]
    assert (answer.status_code, answer.json()["dead_letter"]) == (202, letter.id)
    assert (letter.stage, letter.source, letter.reason) == ("door", "inbox", reason)
    assert letter.raw == (body if isinstance(body, bytes) else json.dumps(body).encode())


async def test_good_records_beside_a_bad_one_become_events() -> None:
    """One unusable record of two costs only itself: one event, one dead letter that names record 0."""
    gateway = case()
    answer = await deliver(gateway, {"Records": [{}, RECORD]})
    assert len(answer.json()["ids"]) == 1
    assert "record 0" in gateway.log.dead_letters()[0].error


async def test_a_source_with_a_token_wants_it() -> None:
    """Without the token, or with another, 401 and nothing kept; with it, 202."""
    gateway = case(token="tok")
    for headers in ({}, {"authorization": "Bearer to"}, {"authorization": "Bearer tök"}):
        answer = await gateway.request(
            "POST",
            "/hooks/inbox",
            json.dumps(MINIO).encode(),
            {k: v.encode("latin-1") for k, v in headers.items()},  # type: ignore[misc]
        )
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Ensue")
    assert gateway.log.rows == []
    assert (await deliver(gateway, MINIO, authorization="Bearer tok")).status_code == 202


async def test_an_open_source_refuses_what_a_foreign_page_may_send() -> None:
    """Without a token, text/plain is 415; an unknown source is 404."""
    gateway = case()
    body = json.dumps(MINIO).encode()
    assert (
        await gateway.request("POST", "/hooks/inbox", body, {"content-type": "text/plain"})
    ).status_code == 415
    assert (await gateway.request("POST", "/hooks/other", body)).status_code == 404


async def test_a_delivery_that_kafka_does_not_take_is_503() -> None:
    """Not acknowledged: 503, so that the bucket sends it again."""
    gateway = case()
    gateway.log.failing = (0,)
    answer = await deliver(gateway, MINIO)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
