"""Hostile bytes over real sockets: no 5xx, no hang, bounded memory, and others are served meanwhile."""

import asyncio
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from streams.sources.kinds import KINDS
from tests.bombs import PACKED, PLAIN
from tests.hostile_case import doors

pytestmark = [pytest.mark.connected, pytest.mark.timeout(400)]
ROOT = Path(__file__).parents[2]
PATHS = ["/events", *(f"/hooks/{door}-{kind}" for kind in KINDS for door in doors(kind))]
SOME = ["/events", "/hooks/opened-s3", "/hooks/locked-github"]
GOOD = b'{"event":"e","resource":{"resource.id":"r"}}'
HEAD = b"POST %s HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
RSS_GROWTH_BYTES_MAX = 150 << 20  # a million objects of one body, for as long as it is looked at
ANSWER_S_MAX = 10.0  # a guard against hanging, not a measure
SLOW, SLOW_SOAK = 400, 2000
STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d)")
# A second request within the first: whoever reads lengths otherwise than we do would serve it.
INNER = b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@dataclass
class Door:
    """The gateway's process."""

    process: "subprocess.Popen[str]"
    port: int

    def raw(self, data: bytes, timeout_s: float = ANSWER_S_MAX) -> bytes:
        """Send bytes and no more; return all that comes back until the end or a silence."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as sock:
            got = b""
            try:
                sock.sendall(data)
                sock.settimeout(0.5)
                while part := sock.recv(65536):
                    got += part
                    sock.settimeout(0.2)
            except (TimeoutError, ConnectionError):
                pass
            return got

    def rss(self) -> int:
        """Memory in bytes."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def good(self) -> None:
        """Assert that an honest sender is served."""
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/events",
            content=GOOD,
            headers={"content-type": "application/json"},
            timeout=ANSWER_S_MAX,
        )
        assert answer.status_code == 202


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    """A gateway for all tests here; it must live through them."""
    script = Path(__file__).with_name("hostile_process.py")
    command = [sys.executable, "-c", f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Door(process, int(process.stdout.readline()))
            assert process.poll() is None, "the gateway did not live through it"
        finally:
            process.kill()


def _bombs(path: str) -> list[tuple[str, bytes]]:
    """All of them; where nobody is believed only the largest, since they are not read there."""
    bodies = [("identity", body) for body in PLAIN.values()]
    if "/locked-" in path:
        bodies = sorted(bodies, key=lambda sent: len(sent[1]))[-3:]
    return bodies + list(PACKED.values())


@pytest.mark.parametrize("paths", [SOME, pytest.param(PATHS, marks=pytest.mark.soak)], ids=["some", "all"])
def test_bombs_at_the_doors_cost_bounded_memory(door: Door, paths: list[str]) -> None:
    """All bombs over one connection: 2xx or 4xx, soon, and memory stays bounded.

    Every kind of source takes them without a socket in tests/unit/test_hostile_hooks.py.
    """
    door.good()
    before = highest = door.rss()
    slowest = 0.0
    with httpx.Client(base_url=f"http://127.0.0.1:{door.port}", timeout=ANSWER_S_MAX) as client:
        for path in paths:
            for encoding, body in _bombs(path):
                headers = {"content-type": "application/json", "content-encoding": encoding}
                began_s = time.monotonic()
                answer = client.post(path, content=body, headers=headers)
                slowest = max(slowest, time.monotonic() - began_s)
                assert 200 <= answer.status_code < 500, (path, body[:60])
            highest = max(highest, door.rss())
    print(f"rss {before >> 20} MB, highest {highest >> 20} MB, slowest answer {slowest:.2f} s")
    assert highest - before < RSS_GROWTH_BYTES_MAX
    door.good()


def smuggled(path: bytes) -> dict[str, bytes]:
    """Requests whose end two readers could see at different places."""
    head, inner = HEAD % path, INNER
    return {
        "both lengths": head + b"content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nX" + inner,
        "both, chunked first": head
        + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        + inner,
        "two lengths": head + b"content-length: 2\r\ncontent-length: 50\r\n\r\n{}" + inner,
        "two lengths in one": head + b"content-length: 2, 50\r\n\r\n{}" + inner,
        "a length with a sign": head + b"content-length: +2\r\n\r\n{}" + inner,
        "a negative length": head + b"content-length: -1\r\n\r\n{}" + inner,
        "a length in hex": head + b"content-length: 0x2\r\n\r\n{}" + inner,
        "a length with an underscore": head + b"content-length: 1_0\r\n\r\n0123456789" + inner,
        "a length beyond all": head + b"content-length: " + b"9" * 400 + b"\r\n\r\n{}" + inner,
        "a length that is no number": head + b"content-length: x\r\n\r\n{}" + inner,
        "chunked, then something": head + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner,
        "chunked that is xchunked": head
        + b"transfer-encoding: xchunked\r\ncontent-length: 2\r\n\r\n{}"
        + inner,
        "chunked twice": head
        + b"transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n0\r\n\r\n"
        + inner,
        "a space before the colon": head + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n" + inner,
        "a tab before the value": head + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + inner,
        "a folded line": head
        + b"transfer-encoding:\r\n chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"
        + inner,
        "a chunk of -1": head + b"transfer-encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n" + inner,
        "a chunk beyond all": head + b"transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n{}" + inner,
        "a chunk of 0x2": head + b"transfer-encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n" + inner,
        "a chunk without its end": head + b"transfer-encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n" + inner,
        "a zero byte in a header": head + b"x: a\0b\r\ncontent-length: 2\r\n\r\n{}" + inner,
        "a bare CR in a header": head + b"x: a\rcontent-length: 50\r\ncontent-length: 2\r\n\r\n{}" + inner,
        "no name": head + b": x\r\ncontent-length: 2\r\n\r\n{}" + inner,
        "two hosts": head + b"host: evil.example\r\ncontent-length: 2\r\n\r\n{}",
        "a host in the line": b"POST http://evil.example%s HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" % path,
    }


@pytest.mark.parametrize("path", ["/events", "/hooks/opened-github", "/hooks/locked-github"])
def test_requests_of_two_meanings_end_the_connection(door: Door, path: str) -> None:
    """Doubtful lengths and heads are refused with 4xx, and what follows them is never served."""
    for name, data in smuggled(path.encode()).items():
        got = door.raw(data)
        statuses = [int(found) for found in STATUS.findall(got)]
        assert all(200 <= status < 500 for status in statuses), (name, got[:300])
        assert b"ensue_gateway_requests_total" not in got, (name, got[:300])
    door.good()


def test_broken_heads_are_refused(door: Door) -> None:
    """Heads that are too long, too many, no HTTP or another protocol: 4xx or the end, never 5xx."""
    head = HEAD % b"/hooks/opened-github"
    chunked = head + b"transfer-encoding: chunked\r\n\r\n"
    heads = {
        "64 kB of one header": head + b"x: " + b"y" * 65536 + b"\r\n\r\n",
        "10,000 headers": head + b"x: y\r\n" * 10_000 + b"\r\n",
        "a path of 100 kB": HEAD % (b"/hooks/" + b"a" * 100_000) + b"\r\n",
        "a query of 30 kB": HEAD % (b"/hooks/opened-github?" + b"a=1&" * 7_000)
        + b"content-length: 2\r\n\r\n{}",
        "a path of odd bytes": HEAD % b"/hooks/%00%ff%2e%2e/\xff" + b"\r\n",
        "no version": b"POST /events\r\n\r\n",
        "a version of its own": b"POST /events HTTP/9.9\r\nhost: 127.0.0.1\r\n\r\n",
        "the next protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        "an endless method": b"A" * 100_000,
        "an upgrade": head
        + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\n{}",
        "an extension of 1 MB": chunked + b"2;" + b"a" * (1 << 20) + b"\r\n{}\r\n0\r\n\r\n",
        "trailers of 1 MB": chunked + b"2\r\n{}\r\n0\r\n" + b"x: y\r\n" * 170_000 + b"\r\n",
        "a promise of a body": head + b"expect: 100-continue\r\ncontent-length: 100000000\r\n\r\n",
    }
    before = door.rss()
    for name, data in heads.items():
        got = door.raw(data)
        assert all(100 <= int(found) < 500 for found in STATUS.findall(got)), (name, got[:300])
    assert door.rss() - before < RSS_GROWTH_BYTES_MAX
    door.good()


def test_a_body_of_many_chunks_is_one_body(door: Door) -> None:
    """100,000 chunks of one byte are put together and answered."""
    body = GOOD.ljust(100_000)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", door.port), timeout=30) as sock:
        sock.sendall(HEAD % b"/events" + b"transfer-encoding: chunked\r\n\r\n" + chunks)
        assert sock.recv(65536).startswith(b"HTTP/1.1 202")


async def _drip(port: int, path: str, start: bytes, ended: list[float]) -> None:
    """Send a byte a second until the other side has enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began_s = time.monotonic()
    writer.write(HEAD % path.encode() + start)
    try:
        for _ in range(45):
            writer.write(b" ")
            await writer.drain()
            try:
                await asyncio.wait_for(reader.read(1000), 1)
            except TimeoutError:
                continue
            ended.append(time.monotonic() - began_s)
            return
    except ConnectionError:
        ended.append(time.monotonic() - began_s)
    finally:
        writer.close()


async def _besieged(port: int, count: int) -> tuple[int, list[float]]:
    ended: list[float] = []
    paths = ["/events", "/hooks/opened-github", "/hooks/locked-stripe"]
    starts = [b"x", b"content-length: 1000\r\n\r\n{"]
    served = 0
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_S_MAX) as client,
        asyncio.TaskGroup() as group,
    ):
        for number in range(count):
            group.create_task(_drip(port, paths[number % 3], starts[number % 2], ended))
        for _ in range(100):
            answer = await client.post("/events", content=GOOD, headers={"content-type": "application/json"})
            served += answer.status_code == 202
            await asyncio.sleep(0.05)
    return served, ended


@pytest.mark.parametrize("count", [SLOW, pytest.param(SLOW_SOAK, marks=pytest.mark.soak)])
def test_slow_senders_are_ended_and_honest_ones_served(door: Door, count: int) -> None:
    """Senders of a byte a second, in head or body: all are ended within 30 s, every honest one is served."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * count)), hard))
    before = door.rss()
    served, ended = asyncio.run(_besieged(door.port, count))
    print(f"{count} slow senders, the last ended after {max(ended):.1f} s; {served} of 100 were served")
    assert served == 100
    assert len(ended) == count
    assert max(ended) < 30
    assert door.rss() - before < RSS_GROWTH_BYTES_MAX
