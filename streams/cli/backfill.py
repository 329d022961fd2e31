"""`ensue sources backfill`: what lies in a bucket or folder and was never reported."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from streams.cli.context import load_settings, need
from streams.cli.options import DataOption, JsonOption, parse_time
from streams.cli.output import print_json
from streams.errors import BadInput, EnsueError
from streams.settings import Settings
from streams.source_settings import FolderSource, HttpSourceSettings, Source

_BUCKETS = ("s3", "minio", "gcs")
_SLACK = timedelta(hours=1)  # between the provider's clock and the times in its notifications
_SENT_AT_ONCE = 500
_TRIES = 8


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a backfill has done."""

    listed: int = 0
    known: int = 0
    emitted: int = 0
    unusable: int = 0


class Progress(Protocol):
    """Shows how far it is."""

    def __call__(self, tally: Tally, key: str) -> None:
        """Show the tally after the page that ends with `key`."""
        ...


def backfill(
    name: Annotated[str, typer.Argument(help="Name of the source.", metavar="NAME")],
    since: Annotated[str, typer.Option("--since", help="Objects changed from then on: 2d, or a time.")],
    prefix: Annotated[str, typer.Option("--prefix", help="Only keys that begin so.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what is missing; emit nothing.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the bucket (or folder) and emit an event for each object that the store does not know.

    An object counts as known by its key and etag. Interrupted, it goes on where it stopped when you run it
    again. The bucket is listed with the credentials that Amazon's own tools would use here.

    \b
    ensue sources backfill landing --since 2d --dry-run
    ensue sources backfill landing --since 2026-11-01 --prefix invoices/
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    from streams.cli.sources import configured

    settings = load_settings(data)
    source = configured(settings, name)
    need(settings.clickhouse.url, "store", "ENSUE_CLICKHOUSE__URL")
    from_when = parse_time(since)
    assert from_when is not None, "--since is required"
    mark = Checkpoint(settings.data / "sources" / f"{name}.backfill.json", from_when, prefix)
    began_s = time.monotonic()
    with _progress(quiet=as_json or dry_run) as progress:
        tally = _run(settings, name, source, mark, dry_run=dry_run, progress=progress)
    told = {
        "source": name,
        "listed": tally.listed,
        "known": tally.known,
        "missing" if dry_run else "emitted": tally.emitted,
        "unusable": tally.unusable,
        "seconds": round(time.monotonic() - began_s, 1),
    }
    if as_json:
        print_json(told)
    else:
        print(
            ", ".join(f"{value} {what}" for what, value in told.items() if what not in {"source", "seconds"})
        )


class Checkpoint:
    """How far an interrupted backfill came; it counts for the same prefix and the same or a later time."""

    def __init__(self, path: Path, since: datetime, prefix: str) -> None:
        self._path = path
        self._since = since
        self._prefix = prefix
        self.after = self._read()

    def _read(self) -> str:
        try:
            found = json.loads(self._path.read_text("utf-8"))
            covered = (
                found["prefix"] == self._prefix and datetime.fromisoformat(found["since"]) <= self._since
            )
            return str(found["after"]) if covered else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    @property
    def since(self) -> datetime:
        """From when objects are wanted."""
        return self._since

    @property
    def prefix(self) -> str:
        """How their keys begin."""
        return self._prefix

    def reached(self, key: str) -> None:
        """Note that everything up to `key` is acknowledged."""
        from streams.local.instance import write_json

        write_json(self._path, {"prefix": self._prefix, "since": self._since.isoformat(), "after": key})

    def done(self) -> None:
        """Forget it: the next backfill begins at the first key."""
        self._path.unlink(missing_ok=True)


def _run(
    settings: Settings, name: str, source: Source, mark: Checkpoint, *, dry_run: bool, progress: Progress
) -> Tally:
    from streams.sources.fields import Unusable
    from streams.sources.listing import absent
    from streams.store.queries.reader import StoreReader

    listing = _listing(name, source)
    store = StoreReader(settings.clickhouse)
    tally = Tally()
    try:
        pages = listing.pages(since=mark.since, prefix=mark.prefix, after="" if dry_run else mark.after)
        for last_key, listed in _readable(pages, name):
            missing = absent(listed, _known(store, [one.place for one in listed], mark.since))
            events = []
            for one in missing:
                try:
                    events.append(listing.event(one))
                except Unusable as error:
                    tally.unusable += 1
                    print(f"ensue: {one.place[:200]}: {error}", file=sys.stderr)
            tally.listed += len(listed)
            tally.known += len(listed) - len(missing)
            if dry_run:
                for event in events:
                    print(event.resource_id, file=sys.stderr)
            else:
                _emit(settings, name, events)
                mark.reached(last_key)
            tally.emitted += len(events)
            progress(tally, last_key)
    finally:
        store.close()
    if not dry_run:
        mark.done()
    return tally


def _listing(name: str, source: Source) -> Any:
    from streams.sources.listing import BucketListing, FolderListing

    if isinstance(source, FolderSource):
        return FolderListing(source, source=name)
    if not isinstance(source, HttpSourceSettings) or source.kind not in _BUCKETS:
        raise BadInput(
            f"source {name} of kind {source.kind} has nothing to list; {', '.join(_BUCKETS)}, folder have"
        )
    if not source.bucket:
        raise BadInput(
            f"source {name} names no bucket; set `bucket = ...` under [sources.{name}] in ensue.toml"
        )
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise EnsueError("listing a bucket needs boto3: pip install 'ensue[aws]'") from None
    endpoint = source.endpoint_url or ("https://storage.googleapis.com" if source.kind == "gcs" else None)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=source.region,
        config=Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 5, "mode": "standard"}),
    )
    return BucketListing(client, kind=source.kind, bucket=source.bucket, source=name)


def _readable(pages: Iterator[Any], name: str) -> Iterator[Any]:
    """Yield the pages; what the bucket's library says becomes one sentence of ours."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError

        errors: tuple[type[Exception], ...] = (BotoCoreError, ClientError, OSError)
    except ImportError:
        errors = (OSError,)
    try:
        yield from pages
    except errors as error:
        raise EnsueError(
            f"source {name} cannot be listed: {error}; run it again, it goes on from here"
        ) from error


def _known(store: Any, places: Sequence[str], since: datetime) -> Mapping[str, Sequence[Any]]:
    from streams.sources.listing import Known
    from streams.store.queries.sources import known_objects

    found: dict[str, list[Known]] = {}
    for row in known_objects(store, places, since - _SLACK):
        found.setdefault(row["resource_id"], []).append(
            Known(
                gone=bool(row["gone"]),
                etag=row["etag"],
                version=row["version"],
                size=row["size"],
                at=datetime.fromisoformat(row["at"]),
            )
        )
    return found


def _emit(settings: Settings, name: str, events: Sequence[Any]) -> None:
    """Have the gateway publish them; each has an id that it would have again, so a repeat does nothing."""
    from streams.cli.operator import ask_gateway

    for start in range(0, len(events), _SENT_AT_ONCE):
        items = [
            {
                "id": event.id,
                "event": event.event,
                "resource": dict(event.resource),
                "occurred": event.occurred.isoformat(),
                "payload": dict(event.payload),
            }
            for event in events[start : start + _SENT_AT_ONCE]
        ]
        for attempt in range(_TRIES):
            try:
                ask_gateway(settings, f"sources/{name}/events", {"events": items})
                break
            except BadInput:
                raise
            except EnsueError as error:
                if attempt == _TRIES - 1:
                    raise EnsueError(f"{error}; run it again, it goes on where it stopped") from error
                time.sleep(min(0.25 * 2**attempt, 10.0))


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """Show a line that counts on a terminal, a line a page elsewhere."""
    if quiet:
        yield lambda _tally, _key: None
        return
    if not sys.stderr.isatty():
        yield lambda tally, key: print(
            f"listed {tally.listed}, emitted {tally.emitted}, at {key[:100]!r}", file=sys.stderr
        )
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("listing")
        yield lambda tally, key: bar.update(
            task, description=f"listed {tally.listed}, emitted {tally.emitted}, at {key[:60]}"
        )
