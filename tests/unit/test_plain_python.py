"""Flows, tasks and events in plain Python, without a broker."""

import http.server
import json
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from flows import emit, emit_event, emit_event_async, flow, task
from flows.errors import NotEmitted

pytestmark = pytest.mark.unit
BLOG = """
from flows import flow, task, emit_event

@task
def load_file_to_warehouse(file_name: str): ...
@task
def cleanup(file_name: str): ...
@flow
def process_new_file(file_name: str):
    load_file_to_warehouse(file_name)
    cleanup(file_name)
    emit_event(event="custom.file_processed", resource={"prefect.resource.id": f"file.{file_name}"})

process_new_file("x.csv")
process_new_file("y.csv")
"""


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(emit.API_URL, raising=False)
    monkeypatch.setattr(emit, "_warned", False)


def test_the_blog_example_runs_and_warns_once(tmp_path: Path) -> None:
    """The example this project grew from runs with only its import line changed; two calls warn once."""
    file = tmp_path / "blog.py"
    file.write_text(BLOG)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("UnsentEventWarning") == 1


def test_the_public_import_is_light() -> None:
    """`from flows import …` loads no Kafka, ClickHouse, web, Avro or template library."""
    heavy = (
        "confluent_kafka faust aiokafka clickhouse_connect httpx starlette uvicorn jinja2 fastavro pydantic"
    )
    code = (
        "import sys; from flows import flow, task, emit_event; "
        f"print([m for m in {heavy.split()!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_outside_a_run_a_task_is_its_function() -> None:
    """No retry, no time limit, no journal: the first exception comes through and results keep their type."""
    calls = []

    @task(retries=5, timeout_s=0.01)
    def work(n: int) -> tuple[int, int]:
        calls.append(n)
        time.sleep(0.02)
        if n < 0:
            raise ValueError("negative")
        return n, n

    @flow
    def both(n: int) -> tuple[int, int]:
        return work(n)

    assert both(2) == (2, 2)
    with pytest.raises(ValueError, match="negative"):
        both(-1)
    assert calls == [2, -1]
    assert (work.__name__, both.__name__, repr(work)) == ("work", "both", "<task work>")


async def test_outside_a_run_async_is_awaited() -> None:
    """Async flows and tasks are coroutines, and the async emit returns the unsent event."""

    @task
    async def step() -> int:
        return 1

    @flow
    async def both() -> int:
        return await step() + 1

    assert await both() == 2
    with pytest.warns(emit.UnsentEventWarning):
        made = await emit_event_async("e", {"resource.id": "r"})
    assert made.resource_id == "r"


def test_an_unsent_event_is_returned_whole() -> None:
    """The returned event has an id, a time zone and both of its labels; the second one warns no more."""
    with pytest.warns(emit.UnsentEventWarning, match="ENSUE_API_URL"):
        made = emit_event("e", {"prefect.resource.id": "r", "x": "1"}, payload={"a": 1})
    assert (made.resource_id, made.resource["x"], made.payload) == ("r", "1", {"a": 1})
    assert made.correlation_id == made.id
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = emit_event("e", {"resource.id": "r"}, follows=made, id=str(UUID(int=5)).upper())
    assert (again.follows, again.id) == (made.id, str(UUID(int=5)))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"event": ""}, "name is text"),
        ({"event": "x" * 1025}, "name is text"),
        ({"resource": {"a": "b"}}, "lacks its id"),
        ({"resource": {"resource.id": 3}}, "labels are text"),
        ({"resource": "r"}, "map of labels"),
        ({"related": [{"resource.id": "x"}]}, "related[0] lacks its role"),
        ({"related": [{"resource.role": "x"}]}, "related[0] lacks its id"),
        ({"payload": [1]}, "payload is a JSON object"),
        ({"id": "invoice-7"}, "ids are UUIDs"),
        ({"follows": "yesterday"}, "ids are UUIDs"),
    ],
)
def test_events_that_cannot_be_are_refused_at_once(given: dict[str, object], text: str) -> None:
    """A fault in an event is said where it is made, naming the member."""
    whole = {"event": "e", "resource": {"resource.id": "r"}, **given}
    with pytest.raises((ValueError, TypeError), match=re.escape(text)):
        emit_event(**whole)  # type: ignore[arg-type]


class _Gateway(http.server.BaseHTTPRequestHandler):
    statuses: list[int]
    bodies: list[dict[str, object]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append({"path": self.path, **json.loads(body)})
        status = self.statuses.pop(0) if self.statuses else 202
        self.send_response(status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Gateway]]:
    """A gateway that answers what a test wants."""
    kind = type("Gateway", (_Gateway,), {"statuses": [], "bodies": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv(emit.API_URL, f"http://127.0.0.1:{server.server_port}")
    yield kind
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_event_is_posted_and_retried_with_one_id(gateway: type[_Gateway]) -> None:
    """A gateway that is busy twice gets the same id three times."""
    gateway.statuses += [503, 429]
    made = emit_event("e", {"resource.id": "r"}, payload={"a": 1})
    assert [b["id"] for b in gateway.bodies] == [made.id] * 3
    assert gateway.bodies[0]["path"] == "/events"
    assert gateway.bodies[0]["payload"] == {"a": 1}


async def test_events_are_posted_inside_an_event_loop(gateway: type[_Gateway]) -> None:
    """Both forms work while an event loop runs."""
    await emit_event_async("e", {"resource.id": "r"})
    emit_event("e", {"resource.id": "r"})
    assert len(gateway.bodies) == 2


def test_a_refused_event_raises_at_once(gateway: type[_Gateway]) -> None:
    """A 4xx is not tried again."""
    gateway.statuses += [422]
    with pytest.raises(NotEmitted, match="422"):
        emit_event("e", {"resource.id": "r"})
    assert len(gateway.bodies) == 1


def test_an_unreachable_gateway_raises_within_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens: NotEmitted names the url and the id to retry with, in less than 5 s."""
    monkeypatch.setenv(emit.API_URL, "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(NotEmitted, match=r"not acknowledged by http://127.0.0.1:9.* id="):
        emit_event("e", {"resource.id": "r"})
    assert 4 < time.monotonic() - start < 5
