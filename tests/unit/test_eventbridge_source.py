"""Amazon EventBridge by an API destination; bodies follow Amazon's guide ("Event message structure")."""

from base64 import b64encode
from typing import Any

import pytest

from streams.sources.trust import Trust
from tests.source_case import ODD_KEYS, SourceCase

pytestmark = pytest.mark.unit


def event(kind: str = "Object Created", key: str = "example-key", **detail: Any) -> dict[str, Any]:
    """The guide's event of a bucket."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2021-11-12T00:00:00Z",
        "region": "ca-central-1",
        "resources": ["arn:aws:s3:::amzn-s3-demo-bucket1"],
        "detail": {
            "version": "0",
            "bucket": {"name": "amzn-s3-demo-bucket1"},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b1946ac92492d2347c6235b4d2611184",
                "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                "sequencer": "617f08299329d189",
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "source-ip-address": "1.2.3.4",
            "reason": "PutObject",
            **detail,
        },
    }


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        ("Object Created", "created"),
        ("Object Deleted", "deleted"),
        ("Object Restore Initiated", "other"),
        ("Object Restore Completed", "restored"),
        ("Object Restore Expired", "other"),
        ("Object Storage Class Changed", "updated"),
        ("Object Access Tier Changed", "updated"),
        ("Object ACL Updated", "updated"),
        ("Object Tags Added", "updated"),
        ("Object Tags Deleted", "updated"),
        ("Object Something New", "other"),
    ],
)
async def test_every_detail_type_has_its_operation(kind: str, operation: str) -> None:
    """Kinds eventbridge and s3 read it alike, with all labels of DESIGN 4."""
    for source in ("eventbridge", "s3"):
        case = SourceCase(source)
        assert (await case.send(event(kind))).status_code == 202
        assert case.only().event == f"storage.object.{operation}"
        assert dict(case.only().resource) == {
            "resource.id": "s3://amzn-s3-demo-bucket1/example-key",
            "provider": "aws",
            "bucket": "amzn-s3-demo-bucket1",
            "key": "example-key",
            "size": "5",
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "version": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            "sequencer": "617f08299329d189",
            "raw_event": kind,
        }


async def test_keys_are_taken_as_they_are() -> None:
    """Unlike the older notifications, EventBridge encodes nothing."""
    case = SourceCase("eventbridge")
    await case.send([event(key=key) for key in ODD_KEYS])
    assert [found.resource["key"] for found in case.events()] == list(ODD_KEYS)


async def test_a_redelivery_is_the_same_event_and_tags_have_no_sequencer() -> None:
    """Sequencer, else EventBridge's own id, tells changes apart."""
    case = SourceCase("eventbridge")
    plain = {"bucket": {"name": "b"}, "object": {"key": "k", "etag": "e", "version-id": "null"}}
    tagged = {**event("Object Tags Added"), "detail": plain}
    other = {**tagged, "id": "17793124-05d4-b198-2fde-7ededc63b104"}
    again = {**event(), "id": "another"}
    for body in (event(), again, tagged, tagged, other):
        await case.send(body)
    ids = [found.id for found in case.events()]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3] != ids[4]


async def test_other_events_keep_their_names() -> None:
    """Whatever else a rule sends is an event by its detail-type, on its first resource or its source."""
    body = event("EC2 Instance State-change Notification") | {
        "source": "aws.ec2",
        "detail": {"state": "running"},
    }
    case = SourceCase("eventbridge")
    await case.send(body)
    await case.send(body | {"resources": [], "source": "my.app"})
    first, second = case.events()
    assert first.event == "eventbridge.EC2 Instance State-change Notification"
    assert (first.resource_id, second.resource_id) == ("arn:aws:s3:::amzn-s3-demo-bucket1", "my.app")
    bucket = SourceCase("s3")
    await bucket.send(body)
    assert bucket.reasons() == ["unknown_format"]


async def test_an_api_destination_shows_its_credential() -> None:
    """API key, Basic or OAuth's bearer token; without one, 401."""
    trust = Trust(secrets=(b"s3cret",))
    for headers, status in (
        ({"x-api-key": "s3cret"}, 202),
        ({"authorization": f"Basic {b64encode(b'ensue:s3cret').decode()}"}, 202),
        ({"authorization": "Bearer s3cret"}, 202),
        ({"authorization": "Bearer other"}, 401),
        ({}, 401),
    ):
        assert (await SourceCase("eventbridge", trust).send(event(), headers)).status_code == status


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed_json"),
        ([], "unknown_format"),
        ([7], "unknown_format"),
        ({"detail-type": "x"}, "unknown_format"),
        (event() | {"detail": 7}, "unusable_record"),
        (event() | {"time": "soon"}, "unusable_record"),
        (event() | {"detail-type": 7}, "unusable_record"),
        (event() | {"source": "x", "id": None}, "unusable_record"),
        (event() | {"source": "x", "detail-type": "a\nb"}, "unusable_record"),
        ([event(), event() | {"detail": {}}], "unusable_record"),
    ],
)
async def test_what_cannot_be_used_is_a_dead_letter(body: object, reason: str) -> None:
    """Each is answered 202 and kept with its reason."""
    case = SourceCase("eventbridge")
    assert (await case.send(body)).status_code == 202
    assert case.reasons() == [reason]
