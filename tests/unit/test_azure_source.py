"""Azure Blob Storage by Event Grid, in both schemas.

No server of Microsoft's is run here: bodies follow its documentation ("Azure Blob Storage as an Event Grid
source", "Endpoint validation with Event Grid event schema", CloudEvents' "HTTP 1.1 Web Hooks").
"""

from typing import Any
from urllib.parse import quote

import pytest

from streams.sources.trust import Trust
from tests.source_case import ODD_KEYS, SourceCase
from tests.token_case import NOW_S, jwks, token
from tests.unit.test_id_token import CLAIMS, TENANT

pytestmark = pytest.mark.unit
TOPIC = (
    "/subscriptions/{subscription-id}/resourceGroups/Storage/providers/Microsoft.Storage/storageAccounts/"
    "my-storage-account"
)
CLOUD = {"content-type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"content-type": "application/cloudevents-batch+json; charset=utf-8"}


def grid(
    kind: str = "BlobCreated", key: str = "new-file.txt", container: str = "testcontainer", **data: Any
) -> dict[str, Any]:
    """An event in Event Grid's own schema."""
    return {
        "topic": TOPIC,
        "subject": f"/blobServices/default/containers/{container}/blobs/{key}",
        "eventType": f"Microsoft.Storage.{kind}",
        "eventTime": "2017-06-26T18:41:00.9584103Z",
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "data": {
            "api": "PutBlockList",
            "clientRequestId": "6d79dbfb-0e37-4fc4-981f-442c9ca65760",
            "requestId": "831e1650-001e-001b-66ab-eeb76e000000",
            "eTag": '"0x8D4BCC2E4835CD0"',
            "contentType": "text/plain",
            "contentLength": 524288,
            "blobType": "BlockBlob",
            "url": f"https://my-storage-account.blob.core.windows.net/{container}/{quote(key)}",
            "sequencer": "00000000000004420000000000028963",
            "storageDiagnostics": {"batchId": "b68529f3-68cd-4744-baa4-3c0498ec19f0"},
            **data,
        },
        "dataVersion": "",
        "metadataVersion": "1",
    }


def cloud(event: dict[str, Any]) -> dict[str, Any]:
    """The same in CloudEvents' schema."""
    names = {"topic": "source", "eventType": "type", "eventTime": "time"}
    kept = {names.get(k, k): v for k, v in event.items() if k not in {"dataVersion", "metadataVersion"}}
    return {**kept, "specversion": "1.0"}


async def test_a_created_blob_in_both_schemas() -> None:
    """All labels of DESIGN 4; whichever schema it comes in, alone or in an array, it has one id."""
    ids = set()
    for body, headers in (
        ([grid()], None),
        (grid(), None),
        (cloud(grid()), CLOUD),
        ([cloud(grid())], BATCH),
    ):
        case = SourceCase("azure")
        assert (await case.send(body, headers)).status_code == 202
        event = case.only()
        assert event.event == "storage.object.created"
        assert dict(event.resource) == {
            "resource.id": "azure://my-storage-account/testcontainer/new-file.txt",
            "provider": "azure",
            "bucket": "testcontainer",
            "key": "new-file.txt",
            "size": "524288",
            "etag": "0x8D4BCC2E4835CD0",
            "sequencer": "00000000000004420000000000028963",
            "raw_event": "BlobCreated",
        }
        assert event.occurred.isoformat() == "2017-06-26T18:41:00.958410+00:00"
        ids.add(event.id)
    assert len(ids) == 1


async def test_a_binary_cloud_event() -> None:
    """Attributes in headers, percent-encoded where they must be."""
    event = cloud(grid(key="é 🎉.csv"))
    headers = {f"ce-{name}": quote(value, safe="/{}:-") for name, value in event.items() if name != "data"}
    case = SourceCase("eventgrid")
    await case.send(event["data"], headers)
    assert case.only().resource["key"] == "é 🎉.csv"
    doubled = SourceCase("eventgrid")
    await doubled.send(event["data"], [*headers.items(), ("ce-id", "2")])
    assert doubled.reasons() == ["unusable_record"]


@pytest.mark.parametrize(
    ("kind", "operation"),
    [
        ("BlobCreated", "created"),
        ("BlobDeleted", "deleted"),
        ("BlobTierChanged", "updated"),
        ("AsyncOperationInitiated", "other"),
        ("DirectoryCreated", "other"),
        ("DirectoryDeleted", "other"),
        ("SomethingNew", "other"),
    ],
)
async def test_every_event_type_has_its_operation(kind: str, operation: str) -> None:
    """Removal and change of tier are told apart; directories and unknown names are kept as `other`."""
    case = SourceCase("azure")
    await case.send([grid(kind)])
    assert (case.only().event, case.only().resource["raw_event"]) == (f"storage.object.{operation}", kind)


async def test_a_renamed_blob_is_created_under_its_new_name() -> None:
    """Data lakes commit files by renaming; the old name is a related resource."""
    event = grid("BlobRenamed", "my-renamed-file.txt", "my-file-system")
    base = "https://my-storage-account.dfs.core.windows.net/my-file-system/"
    event["data"] = {
        "api": "RenameFile",
        "destinationUrl": f"{base}my-renamed-file.txt",
        "sourceUrl": f"{base}my%20original-file.txt",
        "sequencer": "00000000000004420000000000028963",
    }
    case = SourceCase("azure")
    await case.send([event])
    assert (case.only().event, case.only().resource["key"]) == (
        "storage.object.created",
        "my-renamed-file.txt",
    )
    assert list(case.only().related) == [
        {
            "resource.id": "azure://my-storage-account/my-file-system/my original-file.txt",
            "resource.role": "renamed_from",
        }
    ]


async def test_what_concerns_the_account_is_kept() -> None:
    """Lifecycle reports have no blob."""
    event = grid("LifecyclePolicyCompleted") | {"subject": "BlobDataManagement/LifeCycleManagement/x"}
    event["data"] = {"scheduleTime": "2022/05/24 22:57:29.3260160"}
    case = SourceCase("azure")
    await case.send([event])
    assert (case.only().event, case.only().resource["raw_event"]) == (
        "storage.object.other",
        "LifecyclePolicyCompleted",
    )


@pytest.mark.parametrize("encoded", [False, True])
async def test_keys_are_decoded_exactly(encoded: bool) -> None:
    """The address decides, so a name that looks encoded is told from one that is; + is a plus."""
    case = SourceCase("azure")
    events = [grid(key=key) for key in ODD_KEYS]
    if encoded:
        for event, key in zip(events, ODD_KEYS, strict=True):
            event["subject"] = f"/blobServices/default/containers/testcontainer/blobs/{quote(key)}"
    await case.send(events)
    assert {event.resource["key"] for event in case.events()} == set(ODD_KEYS)


@pytest.mark.parametrize(
    ("url", "container", "key"),
    [
        ("https://my-storage-account.blob.core.windows.net/top.txt", "$root", "top.txt"),
        (
            "https://my-storage-account.blob.core.windows.net/testcontainer/a%20b?snapshot=2020",
            "testcontainer",
            "a b",
        ),
        ("https://my-storage-account.dfs.core.windows.net/testcontainer/x/y", "testcontainer", "x/y"),
        ("http://127.0.0.1:10000/my-storage-account/testcontainer/a", "testcontainer", "a"),
        ("https://cdn.example/elsewhere", "testcontainer", "a%b"),
        ("", "testcontainer", "a b"),
        ("https://[", "testcontainer", None),
    ],
)
async def test_addresses_of_all_kinds(url: str, container: str, key: str | None) -> None:
    """Root containers, snapshots, data lakes, emulators, other hosts; without one the subject counts."""
    case = SourceCase("azure")
    await case.send([grid(key=key or "x", container=container, url=url)])
    if key is None:
        assert case.reasons() == ["unusable_record"]
    else:
        assert (case.only().resource["bucket"], case.only().resource["key"]) == (container, key)


async def test_events_of_other_services_keep_their_names() -> None:
    """`azure.` and the type as Azure calls it; the same in both schemas."""
    event = {
        "topic": "/subscriptions/s",
        "subject": "/subscriptions/s/resourceGroups/g",
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2018-07-19T18:38:04.6117357Z",
        "id": "4db48cba-50a2-455a-93b4-de41a3b5b7f6",
        "data": {"status": "Succeeded"},
        "dataVersion": "2",
        "metadataVersion": "1",
    }
    ids = set()
    for body in ([event], cloud(event)):
        case = SourceCase("eventgrid")
        await case.send(body)
        assert case.only().event == "azure.Microsoft.Resources.ResourceWriteSuccess"
        ids.add(case.only().id)
    assert len(ids) == 1


async def test_event_grids_handshake_is_answered_and_nothing_asked_for() -> None:
    """The code comes back as validationResponse with 200; validationUrl is never called."""
    case = SourceCase("azure", Trust(query_token="tok"))
    body = [
        {
            "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
            "topic": "/subscriptions/xxx",
            "subject": "",
            "data": {
                "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
                "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/eventsubscriptions/x/validate?id=512d",
            },
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": "2022-10-28T04:23:35.1981776Z",
            "metadataVersion": "1",
            "dataVersion": "1",
        }
    ]
    headers = {"aeg-event-type": "SubscriptionValidation"}
    assert (await case.send(body, headers)).status_code == 401
    answer = await case.send(body, headers, query="token=tok")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}
    assert (case.outbound.asked, case.outbound.confirmed, case.empty) == ([], [], True)
    del body[0]["data"]["validationCode"]  # type: ignore[attr-defined]
    assert (await case.send(body, headers, query="token=tok")).status_code == 202
    assert case.reasons() == ["unusable_record"]


ORIGIN = {"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Callback": "https://evil.com/x"}


@pytest.mark.parametrize(
    ("trust", "headers", "query", "status"),
    [
        (Trust(allowed_origins=("eventgrid.azure.net",)), ORIGIN, "", 200),
        (Trust(allowed_origins=("*",)), ORIGIN, "", 200),
        (Trust(allowed_origins=("eventgrid.azure.net",), query_token="tok"), ORIGIN, "token=tok", 200),
        (Trust(allowed_origins=("eventgrid.azure.net",), query_token="tok"), ORIGIN, "", 401),
        (Trust(allowed_origins=("other.example",)), ORIGIN, "", 401),
        (Trust(), ORIGIN, "", 401),
        (Trust(allowed_origins=("*",)), {}, "", 401),
        (Trust(allowed_origins=("*",)), [*ORIGIN.items(), ("webhook-request-origin", "b")], "", 401),
    ],
)
async def test_the_handshake_of_cloud_events(trust: Trust, headers: Any, query: str, status: int) -> None:
    """Only listed origins are granted, by name; the callback is never called."""
    case = SourceCase("azure", trust)
    answer = await case.send(b"", headers, query=query, method="OPTIONS")
    assert answer.status_code == status
    assert answer.headers.get("webhook-allowed-origin") == ("eventgrid.azure.net" if status == 200 else None)
    assert (case.outbound.asked, case.outbound.confirmed, case.empty) == ([], [], True)


async def test_entras_token_and_the_addresss_are_both_needed_where_both_are_set() -> None:
    """One missing or wrong is 401; a plain secret works where no token is configured."""
    trust = Trust(jwks=jwks(), audience="api://ensue", issuers=(TENANT,), query_token="tok")
    claims = {**CLAIMS, "iss": TENANT, "aud": "api://ensue", "iat": 1_700_000_000, "exp": NOW_S * 2}
    good = {"authorization": f"Bearer {token(claims)}"}
    wrong = {"authorization": f"Bearer {token({**claims, 'aud': 'x'})}"}
    for headers, query, status in (
        (good, "token=tok", 202),
        (good, "", 401),
        (wrong, "token=tok", 401),
        ({}, "token=tok", 401),
    ):
        case = SourceCase("eventgrid", trust)
        assert (await case.send([grid()], headers, query=query)).status_code == status
        assert case.empty == (status == 401)
    secret = Trust(secrets=(b"s",))
    assert (await SourceCase("azure", secret).send([grid()], {"x-api-key": "s"})).status_code == 202
    assert (await SourceCase("azure", secret).send([grid()])).status_code == 401


async def test_an_open_source_refuses_what_a_foreign_page_may_send() -> None:
    """Without any credential configured only JSON is taken, which pages cannot send unasked."""
    for kind, status in (("application/json", 202), ("text/plain", 401), ("", 401)):
        case = SourceCase("azure")
        assert (await case.send([grid()], {"content-type": kind})).status_code == status


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        ([], "unknown_format"),
        ([7], "unknown_format"),
        ({"eventType": 7}, "unknown_format"),
        ([grid(), 7], "unusable_record"),
        ([grid() | {"eventTime": "x"}], "unusable_record"),
        ([grid() | {"data": None}], "unusable_record"),
        ([grid() | {"subject": "x"}], "unusable_record"),
        ([grid() | {"topic": "", "data": {"sequencer": "1"}}], "unusable_record"),
        ([grid() | {"eventType": "Other.\n"}], "unusable_record"),
    ],
)
async def test_what_cannot_be_used_is_a_dead_letter(body: object, reason: str) -> None:
    """Each is answered 202 and kept with its reason, beside the events of what could be used."""
    case = SourceCase("azure")
    assert (await case.send(body)).status_code == 202
    assert case.reasons() == [reason]
