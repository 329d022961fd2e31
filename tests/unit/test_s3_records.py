"""Every event name and version that Amazon and MinIO document, and keys in all encodings.

Bodies follow Amazon's user guide ("Event message structure", "Event notification types") and MinIO's own.
"""

from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.source_case import ODD_KEYS, SourceCase

pytestmark = pytest.mark.unit

NAMES = {
    "ObjectCreated:Put": "created",
    "ObjectCreated:Post": "created",
    "ObjectCreated:Copy": "created",
    "ObjectCreated:CompleteMultipartUpload": "created",
    "ObjectRemoved:Delete": "deleted",
    "ObjectRemoved:DeleteMarkerCreated": "deleted",
    "LifecycleExpiration:Delete": "deleted",
    "LifecycleExpiration:DeleteMarkerCreated": "deleted",
    "ObjectRestore:Post": "other",
    "ObjectRestore:Completed": "restored",
    "ObjectRestore:Delete": "other",
    "ReducedRedundancyLostObject": "other",
    "Replication:OperationFailedReplication": "other",
    "Replication:OperationMissedThreshold": "other",
    "Replication:OperationReplicatedAfterThreshold": "other",
    "Replication:OperationNotTracked": "other",
    "LifecycleTransition": "updated",
    "IntelligentTiering": "updated",
    "ObjectTagging:Put": "updated",
    "ObjectTagging:Delete": "updated",
    "ObjectAcl:Put": "updated",
    # MinIO's beside them.
    "ObjectCreated:PutTagging": "updated",
    "ObjectCreated:DeleteTagging": "updated",
    "ObjectCreated:PutRetention": "updated",
    "ObjectCreated:PutLegalHold": "updated",
    "ObjectRemoved:DeleteAllVersions": "deleted",
    "ObjectRemoved:NoOP": "other",
    "ObjectAccessed:Get": "other",
    "ObjectAccessed:Head": "other",
    "ObjectTransition:Complete": "updated",
    "ObjectTransition:Failed": "other",
    "Scanner:ManyVersions": "other",
}


def record(name: str = "ObjectCreated:Put", key: str = "a.csv", **item: Any) -> dict[str, Any]:
    """A record as the user guide prints it."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-west-2",
        "eventTime": "1970-01-01T00:00:00.000Z",
        "eventName": name,
        "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "testConfigRule",
            "bucket": {
                "name": "amzn-s3-demo-bucket",
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": "arn:aws:s3:::amzn-s3-demo-bucket",
            },
            "object": {
                "key": key,
                "size": 1024,
                "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                "sequencer": "0055AED6DCD90281E5",
                **item,
            },
        },
    }


@pytest.mark.parametrize(("name", "operation"), NAMES.items())
async def test_every_documented_name_has_its_operation(name: str, operation: str) -> None:
    """Creation, change, removal and restoration are told apart, with and without the prefix s3:."""
    for told in (name, f"s3:{name}"):
        case = SourceCase("s3")
        await case.send({"Records": [record(told)]})
        event = case.only()
        assert (event.event, event.resource["raw_event"]) == (f"storage.object.{operation}", name)


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.99"])
async def test_every_minor_version_is_taken(version: str) -> None:
    """Minor versions add fields only; another major one is a dead letter."""
    case = SourceCase("s3")
    await case.send({"Records": [{**record(), "eventVersion": version, "glacierEventData": {}}]})
    assert case.only().resource["version"] == "096fKKXTRTtl3on89fVO.nfljtsv6qko"
    await case.send({"Records": [{**record(), "eventVersion": "3.0"}]})
    assert case.reasons() == ["unusable_record"]


async def test_keys_are_decoded_exactly() -> None:
    """Form-encoded keys come out as the objects are called, to the last of 1,024 bytes."""
    case = SourceCase("s3")
    await case.send({"Records": [record(key=quote_plus(key)) for key in ODD_KEYS]})
    assert {event.resource["key"] for event in case.events()} == set(ODD_KEYS)
    assert {event.resource_id for event in case.events()} == {
        f"s3://amzn-s3-demo-bucket/{key}" for key in ODD_KEYS
    }
    assert max(len(event.resource["key"].encode()) for event in case.events()) == 1024


@pytest.mark.parametrize("version", [None, "null", ""])
async def test_without_sequencer_no_two_changes_share_an_id(version: str | None) -> None:
    """Tagging has no sequencer, and "null" is every unversioned object's version: requests tell apart."""
    case = SourceCase("s3")
    first = record("ObjectTagging:Put", sequencer=None, versionId=version)
    second = {**first, "responseElements": {"x-amz-request-id": "C3D13FE58DE4C811"}}
    for one in (first, second, first):
        await case.send({"Records": [one]})
    ids = [event.id for event in case.events()]
    assert ids[0] == ids[2] != ids[1]
    assert case.events()[0].resource.get("version") == (version or None)


async def test_what_concerns_a_bucket_has_no_key() -> None:
    """MinIO's news of whole buckets and scans are kept under the bucket's name."""
    case = SourceCase("minio")
    whole = record("s3:BucketCreated:*", key="")
    await case.send({"Records": [whole]})
    event = case.only()
    assert (event.event, event.resource_id) == ("storage.object.other", "s3://amzn-s3-demo-bucket/")
    assert "key" not in event.resource


@pytest.mark.parametrize(
    "broken",
    [
        {"eventTime": "yesterday"},
        {"eventTime": "0001-01-01T00:00:00+14:00"},
        {"eventTime": "9999-12-31T23:59:59-14:00"},
        {"eventTime": None},
        {"s3": None},
        {"s3": {"bucket": {"name": ""}, "object": {"key": "a"}}},
        {"s3": {"bucket": {"name": "b"}, "object": {"key": "x" * 9000}}},
        {"eventName": 7},
    ],
)
async def test_a_record_without_what_it_needs_is_a_dead_letter(broken: dict[str, Any]) -> None:
    """It is answered 202 and kept whole, with a sentence."""
    case = SourceCase("s3")
    answer = await case.send({"Records": [{**record(), **broken}]})
    assert (answer.status_code, case.reasons(), case.events()) == (202, ["unusable_record"], [])


async def test_a_secret_may_be_shown_in_any_of_four_ways() -> None:
    """Bearer, Basic (password or user:password), X-Api-Key and the address's own token open the source."""
    from base64 import b64encode

    from streams.sources.trust import Trust

    trust = Trust(secrets=(b"new", b"old"), query_token="t+k n")
    basic = b64encode(b"anybody:old").decode()
    for headers in (
        {"authorization": "bearer new"},
        {"Authorization": f"Basic {basic}"},
        {"X-API-KEY": "old"},
    ):
        case = SourceCase("s3", trust)
        assert (await case.send({"Records": [record()]}, headers)).status_code == 202
    case = SourceCase("s3", trust)
    assert (await case.send({"Records": [record()]}, query="token=t%2Bk%20n")).status_code == 202
    for headers, query in (
        ({"authorization": "bearer older"}, ""),
        ({"authorization": "Basic %%%"}, ""),
        ({"authorization": "Basic " + b64encode(b"old").decode()}, ""),
        ({"authorization": "Bearer "}, ""),
        ({"x-api-key": "nöw"}, ""),
        ([("authorization", "bearer new"), ("authorization", "bearer new")], ""),
        ({}, "token=t+k n"),
        ({}, "token=t%2Bk%20n&token=t%2Bk%20n"),
        ({}, "token="),
        ({}, "token=new"),
        ({}, "&".join(["token=t%2Bk%20n"] + ["a=b"] * 200)),
    ):
        case = SourceCase("s3", trust)
        answer = await case.send({"Records": [record()]}, headers, query=query)  # type: ignore[arg-type]
        assert (answer.status_code, case.empty) == (401, True), (headers, query)
