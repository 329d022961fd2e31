"""`ensue sources test`: a signed sample through the running gateway, found again in SQL."""

import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli.context import api_url, load_settings, need
from streams.cli.emit import problem_text
from streams.cli.options import DataOption, JsonOption
from streams.cli.output import print_json
from streams.errors import EnsueError
from streams.settings import Settings
from streams.source_settings import FolderSource, HttpSourceSettings, KafkaSource, SqsSource

_ASK_EVERY_S = 0.2
_TIMEOUT_S = 15.0
_CLOCKS_APART = timedelta(minutes=5)


def check(
    name: Annotated[str, typer.Argument(help="Name of the source.", metavar="NAME")],
    wait_s: Annotated[float, typer.Option("--wait", help="Seconds to wait for the event in SQL.")] = 30.0,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a sample, signed as the provider would, and wait until its event is in SQL.

    It is an event like any other, so a trigger that matches it starts its flow; its id and resource begin
    with ensue-test. Into a topic or a queue nothing is written: kafka reads the newest record and says what
    becomes of it, sqs how many messages wait.

    Example: ensue sources test shop
    """
    from streams.cli.sources import configured

    settings = load_settings(data)
    source = configured(settings, name)
    if isinstance(source, KafkaSource | SqsSource):
        from streams.cli.source_look import look

        look(settings, name, source, as_json=as_json)
        return
    need(settings.clickhouse.url, "store", "ENSUE_CLICKHOUSE__URL")
    mark = f"ensue-test-{secrets.token_hex(6)}"
    began = datetime.now(UTC)
    if isinstance(source, FolderSource):
        with _file(source.path, mark):
            found = _wait(settings, name, mark, began, wait_s)
    else:
        _post(settings, name, source, mark)
        found = _wait(settings, name, mark, began, wait_s)
    took_s = (datetime.now(UTC) - began).total_seconds()
    if not found:
        raise EnsueError(
            f"source {name}: the gateway took the sample, but no event of it was in SQL within {wait_s:g} s; "
            "see `ensue dead-letters list` and `ensue status`"
        )
    told: dict[str, Any] = {"source": name, "kind": source.kind, "ok": True, "seconds": took_s, **found}
    if as_json:
        print_json(told)
    else:
        print(f"{name}: ok, {found['event']} {found['id']} was in SQL after {took_s:.1f} s")


@contextmanager
def _file(folder: Path, mark: str) -> Iterator[None]:
    path = folder / f"{mark}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text("written by `ensue sources test`\n", "utf-8")
    except OSError as error:
        raise EnsueError(f"{path} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _post(settings: Settings, name: str, source: HttpSourceSettings, mark: str) -> None:
    """Send the sample; raises EnsueError that says what the gateway did not like."""
    import httpx

    from streams.cli.source_samples import Maker, sample
    from streams.sources.secrets import CurrentTrust

    trust = CurrentTrust(name, source)()
    secret = trust.secrets[0] if trust.secrets else b""
    token = trust.query_token or ""
    made = sample(Maker(settings=source, secret=secret, token=token, mark=mark, now_s=time.time()))
    url = f"{api_url(settings)}/hooks/{name}"
    try:
        answer = httpx.post(
            url, content=made.body, headers=dict(made.headers), params=dict(made.query), timeout=_TIMEOUT_S
        )
    except httpx.HTTPError as error:
        raise EnsueError(f"the gateway at {url} does not answer ({error}); see `ensue status`") from error
    if not answer.is_success:
        raise EnsueError(f"source {name}: {problem_text(answer.text, answer.status_code)}")
    letter = answer.json().get("dead_letter") if answer.text.startswith("{") else None
    if letter:
        raise EnsueError(
            f"source {name}: the sample became dead letter {letter}: {answer.json().get('reasons')}"
        )


def _wait(settings: Settings, name: str, mark: str, began: datetime, wait_s: float) -> dict[str, Any]:
    """Return the sample's event once it is in SQL, nothing when it does not come."""
    from streams.store.queries.reader import StoreReader
    from streams.store.queries.sources import marked

    store = StoreReader(settings.clickhouse)
    deadline_s = time.monotonic() + wait_s
    told = ""
    try:
        while time.monotonic() < deadline_s:
            try:
                found = marked(store, name, mark, began - _CLOCKS_APART)
            except EnsueError as error:
                told, found = str(error), []
            if found:
                return found[0]
            time.sleep(_ASK_EVERY_S)
    finally:
        store.close()
    if told:
        print(f"ensue: {told}", file=sys.stderr)
    return {}
