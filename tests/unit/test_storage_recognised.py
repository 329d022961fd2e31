"""Whatever a bucket writes into a topic is recognised by its shape."""

import json

import pytest

from streams.errors import Poison
from streams.sources.storage import is_storage, storage_events
from tests.unit.test_azure_source import cloud, grid
from tests.unit.test_eventbridge_source import event
from tests.unit.test_google_source import OBJECT, push, raised
from tests.unit.test_s3_records import record
from tests.unit.test_s3_source import MINIO
from tests.unit.test_sns_source import notification

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (MINIO, "s3://inbox/data/a b+c/é.csv"),
        ({"Records": [record()]}, "s3://amzn-s3-demo-bucket/a.csv"),
        (notification(json.dumps({"Records": [record()]})), "s3://amzn-s3-demo-bucket/a.csv"),
        (event(), "s3://amzn-s3-demo-bucket1/example-key"),
        (push(item=OBJECT), "gs://my-bucket/folder/Test.cs"),
        (raised(), "gs://my-bucket/folder/Test.cs"),
        (grid(), "azure://my-storage-account/testcontainer/new-file.txt"),
        ([grid()], "azure://my-storage-account/testcontainer/new-file.txt"),
        ([cloud(grid())], "azure://my-storage-account/testcontainer/new-file.txt"),
    ],
)
def test_every_form_of_every_provider_is_recognised(document: object, place: str) -> None:
    """Each gives its one event, on its own resource id."""
    assert is_storage(document)
    (found,) = storage_events(document, "topic").events
    assert (found.resource_id, found.source) == (place, "topic")


@pytest.mark.parametrize(
    "document",
    [
        None,
        7,
        "x",
        [],
        {},
        {"message": "hello"},
        {"message": {}},
        {"specversion": "1.0", "id": "1", "type": "x", "source": "y"},
        event("Other") | {"source": "my.app"},
        grid() | {"eventType": "Microsoft.Resources.ResourceWriteSuccess"},
    ],
)
def test_everything_else_is_somebody_elses(document: object) -> None:
    """It is not taken for storage, and reading it anyway says so."""
    assert not is_storage(document)
    with pytest.raises(Poison) as poison:
        storage_events(document, "topic")
    assert poison.value.reason == "unknown_format"


def test_amazons_test_event_gives_nothing() -> None:
    """It is storage, and no event."""
    document = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}
    assert is_storage(document)
    assert storage_events(document, "topic").events == ()
