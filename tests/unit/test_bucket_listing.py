"""What a backfill finds missing, page by page, and the events it makes of it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from streams.cli.backfill import Checkpoint
from streams.source_settings import FolderSource
from streams.sources import listing as listing_module
from streams.sources.listing import BucketListing, FolderListing, Known, Listed, absent

pytestmark = pytest.mark.unit
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
PLAIN = 45
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ODD = ("a b+c%41.csv", "ä/🦊.txt", "x" * 1024, "per%cent", "plain", 'quote"d', "tab\tbed")


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "PAGE", 20)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A bucket of moto's S3 with 45 plain and some odd names."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    client.create_bucket(Bucket="landing")
    for key in (*(f"n/{number:05}" for number in range(PLAIN)), *ODD):
        client.put_object(Bucket="landing", Key=key, Body=key.encode())
    yield client
    client.close()
    server.stop()


def listed(**changes: Any) -> Listed:
    """An object."""
    whole = {"place": "s3://b/k", "bucket": "b", "key": "k", "size": 3, "etag": "e1", "modified": NOW}
    return Listed(**{**whole, **changes})


def known(seconds: float, *, etag: str = "e1", gone: bool = False, size: str = "3") -> Known:
    """A change that is stored, so long after the object got what it holds."""
    return Known(gone=gone, etag=etag, version="", size=size, at=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("stored", "missing"),
    [
        ([], True),
        ([known(0)], False),
        ([known(0, etag='"e1"')], False),
        ([known(0, etag="e0")], True),
        ([known(-60, etag="e0"), known(1)], False),
        ([known(-60), known(-30, etag="", gone=True)], True),
        ([known(-60), known(-30, etag="", gone=True), known(0)], False),
        ([known(60, etag="", gone=True)], True),
    ],
)
def test_what_the_store_lacks_is_absent(stored: list[Known], missing: bool) -> None:
    """The same etag since the last deletion is known; everything else was never reported."""
    assert absent([listed()], {"s3://b/k": stored}) == ([listed()] if missing else [])


def test_googles_two_kinds_of_etag_are_one_version() -> None:
    """Size and time decide there, and nowhere else."""
    google = listed(place="gs://b/k", etag="md5")
    assert absent([google], {"gs://b/k": [known(1, etag="CAE=")]}) == []
    assert absent([google], {"gs://b/k": [known(9, etag="CAE=")]}) == [google]
    assert absent([listed(etag="md5")], {"s3://b/k": [known(1, etag="CAE=")]}) == [listed(etag="md5")]


def test_a_bucket_is_listed_in_pages_with_exact_keys(bucket: Any) -> None:
    """Every object once, odd names as they are, and an event with a stable id for each."""
    listing = BucketListing(bucket, kind="s3", bucket="landing", source="lake")
    pages = list(listing.pages(since=EPOCH, prefix="", after=""))
    assert len(pages) == 3
    found = {one.key: one for _, page in pages for one in page}
    assert found.keys() == {*(f"n/{number:05}" for number in range(PLAIN)), *ODD}
    event = listing.event(found["ä/🦊.txt"])
    assert (event.event, event.resource_id) == ("storage.object.created", "s3://landing/ä/🦊.txt")
    assert event.resource["size"] == str(len("ä/🦊.txt".encode()))
    assert (event.source, event.resource["provider"]) == ("lake", "aws")
    assert event.id == listing.event(found["ä/🦊.txt"]).id
    assert len({listing.event(one).id for one in found.values()}) == len(found)


def test_a_listing_goes_on_behind_a_key(bucket: Any) -> None:
    """What an interrupted backfill has acknowledged is not listed again; a prefix and a time narrow it."""
    listing = BucketListing(bucket, kind="minio", bucket="landing", source="lake")
    pages = listing.pages(since=EPOCH, prefix="n/", after="n/00040")
    assert [one.key for _, page in pages for one in page] == [f"n/{n:05}" for n in range(41, PLAIN)]
    future = datetime.now(UTC) + timedelta(hours=1)
    assert [page for _, page in listing.pages(since=future, prefix="ä", after="")] == [[]]


def test_a_folder_lists_as_its_watch_reports(tmp_path: Path) -> None:
    """The ids are those of the watch, so that a file that both report is one event."""
    from schemas.event import Event
    from streams.sources.folder_event import file_event
    from streams.sources.ledger import version_of

    (tmp_path / "sub").mkdir()
    for name in ("a.csv", "sub/b c.csv", ".hidden", "x.part"):
        (tmp_path / name).write_text(name)
    os.utime(tmp_path / "a.csv", (1, 1))  # its change time is now all the same
    settings = FolderSource(kind="folder", path=tmp_path)
    listing = FolderListing(settings, source="inbox", host="here")
    (page,) = listing.pages(since=EPOCH, prefix="", after="")
    assert [one.key for one in page[1]] == ["a.csv", "sub/b c.csv"]
    events: list[Event] = [listing.event(one) for one in page[1]]
    watched = file_event(
        "created",
        source="inbox",
        host="here",
        bucket=tmp_path.name,
        root=str(tmp_path.resolve()),
        key="a.csv",
        version=version_of((tmp_path / "a.csv").stat()),
        now_us=0,
    )
    assert events[0] == watched
    assert page[1][0].place == watched.resource_id
    assert page[1][0].etag == watched.resource["etag"]
    assert list(listing.pages(since=EPOCH, prefix="", after="sub/b c.csv")) == []


def test_a_checkpoint_counts_for_what_it_covered(tmp_path: Path) -> None:
    """The same prefix and the same or a later time go on; anything else begins at the first key."""
    path = tmp_path / "sources" / "lake.json"
    Checkpoint(path, NOW, "n/").reached("n/5")
    assert Checkpoint(path, NOW, "n/").after == "n/5"
    assert Checkpoint(path, NOW + timedelta(hours=1), "n/").after == "n/5"
    assert Checkpoint(path, NOW - timedelta(hours=1), "n/").after == ""
    assert Checkpoint(path, NOW, "").after == ""
    Checkpoint(path, NOW, "n/").done()
    assert Checkpoint(path, NOW, "n/").after == ""
    path.write_text("{")
    assert Checkpoint(path, NOW, "n/").after == ""
