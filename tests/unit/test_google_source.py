"""Google Cloud Storage by Pub/Sub push and by Eventarc.

No server of Google's installs here: bodies follow its documentation ("Pub/Sub notifications for Cloud
Storage", "Payload unwrapping", "Receive events using Pub/Sub push", the CloudEvents of Cloud Storage).
"""

import base64
import json
from typing import Any

import pytest

from streams.sources.trust import Trust
from tests.source_case import ODD_KEYS, SourceCase
from tests.token_case import NOW_S, jwks, token
from tests.unit.test_id_token import AUDIENCE, CLAIMS, EMAIL

pytestmark = pytest.mark.unit
SUBSCRIPTION = "projects/myproject/subscriptions/mysubscription"
OBJECT: dict[str, Any] = {
    "kind": "storage#object",
    "id": "my-bucket/folder/Test.cs/1626000000000000",
    "selfLink": "https://www.googleapis.com/storage/v1/b/my-bucket/o/folder%2FTest.cs",
    "name": "folder/Test.cs",
    "bucket": "my-bucket",
    "generation": "1626000000000000",
    "metageneration": "1",
    "contentType": "application/octet-stream",
    "timeCreated": "2021-07-11T10:40:00.000Z",
    "updated": "2021-07-11T10:40:00.000Z",
    "storageClass": "STANDARD",
    "size": "352",
    "md5Hash": "fF8RdyXYd25AGZ3NzyZd4A==",
    "etag": "CMDajOf35OkCEAE=",
}
ATTRIBUTES = {
    "notificationConfig": "projects/_/buckets/my-bucket/notificationConfigs/3",
    "eventType": "OBJECT_FINALIZE",
    "payloadFormat": "JSON_API_V1",
    "bucketId": "my-bucket",
    "objectId": "folder/Test.cs",
    "objectGeneration": "1626000000000000",
    "eventTime": "2021-07-11T10:40:00.594629Z",
}


def push(
    kind: str = "OBJECT_FINALIZE", item: dict[str, Any] | None = None, **attributes: str
) -> dict[str, Any]:
    """A wrapped push; `item` None has no payload."""
    data = "" if item is None else base64.b64encode(json.dumps(item).encode()).decode()
    return {
        "message": {
            "attributes": {**ATTRIBUTES, "eventType": kind, **attributes},
            "data": data,
            "messageId": "2070443601311540",
            "message_id": "2070443601311540",
            "publishTime": "2021-07-11T10:40:01.123Z",
            "publish_time": "2021-07-11T10:40:01.123Z",
        },
        "subscription": SUBSCRIPTION,
    }


def raised(kind: str = "finalized", **data: Any) -> dict[str, Any]:
    """Eventarc's CloudEvent."""
    return {
        "specversion": "1.0",
        "id": "1234-abcd",
        "source": "//storage.googleapis.com/projects/_/buckets/my-bucket",
        "type": f"google.cloud.storage.object.v1.{kind}",
        "subject": "objects/folder/Test.cs",
        "time": "2021-07-11T10:40:00.594629Z",
        "bucket": "my-bucket",
        "datacontenttype": "application/json",
        "data": {**OBJECT, **data},
    }


async def test_a_push_is_a_storage_event() -> None:
    """All labels of DESIGN 4, the time of the change, the whole notification as payload."""
    case = SourceCase("gcs")
    assert (await case.send(push(item=OBJECT))).status_code == 202
    event = case.only()
    assert event.event == "storage.object.created"
    assert dict(event.resource) == {
        "resource.id": "gs://my-bucket/folder/Test.cs",
        "provider": "gcs",
        "bucket": "my-bucket",
        "key": "folder/Test.cs",
        "size": "352",
        "etag": "CMDajOf35OkCEAE=",
        "version": "1626000000000000",
        "sequencer": "1",
        "raw_event": "OBJECT_FINALIZE",
    }
    assert event.occurred.isoformat() == "2021-07-11T10:40:00.594629+00:00"
    assert event.payload["object"] == OBJECT


@pytest.mark.parametrize(
    ("kind", "attributes", "operation"),
    [
        ("OBJECT_FINALIZE", {}, "created"),
        ("OBJECT_FINALIZE", {"overwroteGeneration": "1625000000000000"}, "created"),
        ("OBJECT_METADATA_UPDATE", {}, "updated"),
        ("OBJECT_DELETE", {}, "deleted"),
        ("OBJECT_DELETE", {"overwrittenByGeneration": "1627000000000000"}, "other"),
        ("OBJECT_ARCHIVE", {}, "deleted"),
        ("OBJECT_ARCHIVE", {"overwrittenByGeneration": "1627000000000000"}, "other"),
        ("OBJECT_SOMETHING_NEW", {}, "other"),
    ],
)
async def test_every_event_type_has_its_operation(
    kind: str, attributes: dict[str, str], operation: str
) -> None:
    """What was overwritten is not gone: only what nobody replaced is deleted. Unknown names are kept."""
    for item in (OBJECT, None):
        case = SourceCase("gcs")
        await case.send(push(kind, item, **attributes))
        event = case.only()
        assert (event.event, event.resource["raw_event"]) == (f"storage.object.{operation}", kind)
        assert event.resource["version"] == "1626000000000000"


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        ("finalized", "created"),
        ("metadataUpdated", "updated"),
        ("deleted", "deleted"),
        ("archived", "deleted"),
        ("somethingNew", "other"),
    ],
)
async def test_eventarc_in_both_modes(kind: str, operation: str) -> None:
    """Structured and binary CloudEvents give the same event, and the same as Pub/Sub's."""
    event = raised(kind)
    headers = {
        f"ce-{name}": str(value) for name, value in event.items() if name not in {"data", "datacontenttype"}
    }
    structured, binary = SourceCase("gcs"), SourceCase("gcs")
    await structured.send(event, {"content-type": "application/cloudevents+json; charset=utf-8"})
    await binary.send(event["data"], {**headers, "content-type": "application/json"})
    assert structured.only().event == f"storage.object.{operation}"
    assert structured.only().id == binary.only().id
    if kind == "finalized":
        pushed = SourceCase("gcs")
        await pushed.send(push(item=OBJECT))
        assert pushed.only().id == structured.only().id


async def test_keys_are_taken_as_they_are() -> None:
    """Google encodes nothing: what looks encoded is the object's name."""
    case = SourceCase("gcs")
    for key in ODD_KEYS:
        await case.send(push(objectId=key))
        await case.send(raised(name=key))
    assert [event.resource["key"] for event in case.events()] == [key for key in ODD_KEYS for _ in "12"]


async def test_an_unwrapped_push_with_metadata() -> None:
    """The body is the object, what it means stands in headers, in whatever case."""
    headers = {
        "x-goog-pubsub-subscription-name": SUBSCRIPTION,
        "x-goog-pubsub-message-id": "2070443601311540",
        "x-goog-pubsub-publish-time": "2021-07-11T10:40:01.123Z",
        "Content-Type": "application/json",
    }
    for spelled in (ATTRIBUTES, {name.lower(): value for name, value in ATTRIBUTES.items()}):
        unwrapped, wrapped = SourceCase("gcs"), SourceCase("gcs")
        await unwrapped.send(OBJECT, {**headers, **spelled})
        await wrapped.send(push(item=OBJECT))
        assert unwrapped.only().id == wrapped.only().id
        assert unwrapped.only().resource == wrapped.only().resource


async def test_redeliveries_and_changes_of_metadata() -> None:
    """Delivered again, as another message too, it is the same change; another metageneration is not."""
    case = SourceCase("gcs")
    again = push("OBJECT_METADATA_UPDATE", OBJECT)
    again["message"]["messageId"] = "1"
    changed = push("OBJECT_METADATA_UPDATE", {**OBJECT, "metageneration": "2"})
    for body in (push("OBJECT_METADATA_UPDATE", OBJECT), again, changed):
        await case.send(body)
    ids = [event.id for event in case.events()]
    assert ids[0] == ids[1] != ids[2]


async def test_other_messages_are_events_for_pubsub_only() -> None:
    """Kind pubsub takes any message; kind gcs keeps what no bucket sent as a dead letter."""
    body = push()
    body["message"]["attributes"] = {"key": "value"}
    for data, shown in (
        (b'{"a": 1}', {"data": {"a": 1}}),
        (b"Hello", {"data_base64": "SGVsbG8="}),
        (b"", {}),
    ):
        body["message"]["data"] = base64.b64encode(data).decode()
        case = SourceCase("pubsub")
        assert (await case.send(body)).status_code == 202
        event = case.only()
        assert (event.event, event.resource_id) == ("pubsub.message", SUBSCRIPTION)
        assert event.payload == {"attributes": {"key": "value"}, **shown}
    bucket = SourceCase("gcs")
    assert (await bucket.send(body)).status_code == 202
    assert bucket.reasons() == ["unknown_format"]
    carried = {"specversion": "1.0", "id": "1", "source": "//pubsub", "data": body}
    carried["type"] = "google.cloud.pubsub.topic.v1.messagePublished"
    by_eventarc = SourceCase("pubsub")
    await by_eventarc.send(carried)
    assert by_eventarc.only().id == event.id


@pytest.mark.parametrize("kind", ["gcs", "pubsub"])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"[]", "unknown_format"),
        ({}, "unknown_format"),
        ({"message": 7, "subscription": "x"}, "unknown_format"),
        ({"specversion": "1.0", "type": "other"}, "unknown_format"),
        (raised(name=None) | {"subject": ""}, "unusable_record"),
        (raised() | {"data": None}, "unusable_record"),
        (raised() | {"time": "now"}, "unusable_record"),
        (push(eventTime="never"), "unusable_record"),
        ({"message": {"data": "%", "messageId": "1"}, "subscription": "x"}, "unusable_record"),
        ({"message": {"data": 1, "messageId": "1"}, "subscription": "x"}, "unusable_record"),
    ],
)
async def test_what_cannot_be_used_is_a_dead_letter(kind: str, body: object, reason: str) -> None:
    """Each is answered 202 and kept with its reason."""
    case = SourceCase(kind)
    assert (await case.send(body)).status_code == 202
    assert case.reasons() == [reason]


async def test_a_push_without_its_token_is_401() -> None:
    """With an audience and an account configured, only Google's token for them opens; doubled is 401."""
    trust = Trust(jwks=jwks(), audience=AUDIENCE, email=EMAIL)
    # The gateway's clock runs here, so the token is valid for long.
    good = token({**CLAIMS, "iat": 1_700_000_000, "exp": NOW_S * 2})
    right = ("authorization", f"Bearer {good}")
    for headers, status in (
        ([right], 202),
        ([("AUTHORIZATION", f"bearer {good}")], 202),
        ([], 401),
        ([("authorization", f"Bearer {good}x")], 401),
        ([("authorization", "Bearer ü")], 401),
        ([right, right], 401),
    ):
        case = SourceCase("pubsub", trust)
        answer = await case.send(push(item=OBJECT), headers)
        assert (answer.status_code, case.empty) == (status, status == 401), headers


async def test_the_addresss_token_opens_alone_and_is_needed_beside_googles() -> None:
    """Alone it is enough; with a token of Google's configured both must be right."""
    alone = Trust(query_token="tok")
    for query, status in (("token=tok", 202), ("token=other", 401), ("", 401)):
        assert (await SourceCase("gcs", alone).send(push(), query=query)).status_code == status
    both = Trust(query_token="tok", jwks=jwks(), audience=AUDIENCE, email=EMAIL)
    assert (await SourceCase("gcs", both).send(push(), query="token=tok")).status_code == 401
