"""ClickHouse's HTTP protocol over the engine, as much of it as clickhouse-connect and npm's client use."""

import asyncio
import gzip
import ipaddress
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import lz4.frame
import zstandard
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streams.errors import Overload
from streams.store.engine import Answer, EngineError
from streams.store.guard import Refused
from streams.store.http_request import (
    READER_BODY_BYTES_MAX,
    WRITER_BODY_BYTES_MAX,
    decompress,
    is_writer,
    read_request,
)
from streams.store.statements import READERS_WAITING_MAX, Reply, Statements

WRITERS_MAX = 4
DISPLAY_NAME = "ensue-store"
TOO_MANY_QUERIES = 202
_STATUS = {62: 400, 36: 400, 26: 400, 457: 400, 60: 404, 81: 404, 164: 403, 497: 403, 516: 403, 392: 409}
_COMPRESS_FROM_BYTES = 1024
_log = logging.getLogger(__name__)


class Endpoint:
    """The handlers; readers and writers have threads apart, so that no reader keeps the writer waiting."""

    def __init__(self, statements: Statements, secret: str, allowed_hosts: Sequence[str]) -> None:
        self._statements = statements
        self._secret = secret
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._readers = ThreadPoolExecutor(READERS_WAITING_MAX, thread_name_prefix="store-reader")
        self._writers = ThreadPoolExecutor(WRITERS_MAX, thread_name_prefix="store-writer")

    def app(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/ping", self.ping, methods=["GET"]),
                Route("/", self.statement, methods=["GET", "POST"]),
            ]
        )

    async def ping(self, request: Request) -> Response:
        """Answer that the store is up."""
        return self._foreign(request) or PlainTextResponse("Ok.\n")

    async def statement(self, request: Request) -> Response:
        """Run one statement."""
        if refusal := self._foreign(request):
            return refusal
        if request.method == "GET" and "query" not in request.query_params:
            return PlainTextResponse("Ok.\n")
        query = dict(request.query_params)
        try:
            return await self._run(request, query)
        except (EngineError, Refused) as error:
            return _failure(str(error), error.code)
        except Overload as error:
            response = _failure(str(error), TOO_MANY_QUERIES, status=503)
            response.headers["Retry-After"] = str(round(error.retry_after_s))
            return response
        except UnicodeDecodeError as error:
            return _failure(f"The statement is not UTF-8: {error}.", 62)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            _log.exception("a statement failed in an unexpected way")
            return _failure(f"{type(error).__name__}: {error}", 1002)

    async def _run(self, request: Request, query: Mapping[str, str]) -> Response:
        headers = request.headers
        if headers.get("content-type", "").startswith("multipart/"):
            raise EngineError("Code: 36. Multipart bodies are not read here. (BAD_ARGUMENTS)", code=36)
        writer = is_writer(headers, query, self._secret)
        bytes_max = WRITER_BODY_BYTES_MAX if writer else READER_BODY_BYTES_MAX
        raw = await _body(request, bytes_max)
        body = decompress(raw, headers.get("content-encoding", ""), bytes_max)
        statement = read_request(writer=writer, query=query, headers=headers, body=body)
        database = query.get("database", headers.get("x-clickhouse-database", ""))
        pool = self._writers if writer else self._readers
        loop = asyncio.get_running_loop()
        reply = await loop.run_in_executor(pool, self._statements.run, statement, database)
        accepted = headers.get("accept-encoding", "") if statement.compress else ""
        return _success(reply, statement.query_id or secrets.token_hex(8), accepted)

    def _foreign(self, request: Request) -> Response | None:
        """Refuse names that a page in a browser could have made up (DNS rebinding), and foreign pages."""
        host = _host_of(request.headers.get("host", ""))
        if not self._is_ours(host):
            return _failure(
                f"The host name {host[:100]!r} is not served here; add it to allowed_hosts if it is yours.",
                497,
            )
        origin = request.headers.get("origin")
        if origin is not None and not self._is_ours(_host_of(origin.partition("://")[2])):
            return _failure(f"Pages of {origin[:100]!r} may not ask the store.", 497)
        return None

    def _is_ours(self, host: str) -> bool:
        if host in {"localhost", "testserver"} or host in self._allowed_hosts:
            return host != "testserver" or host in self._allowed_hosts
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def _host_of(authority: str) -> str:
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.partition(":")[0].lower()


async def _body(request: Request, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > bytes_max:
            raise EngineError(
                f"Code: 36. The body is larger than {bytes_max} bytes; send less at a time. (BAD_ARGUMENTS)",
                code=36,
            )
        parts.append(part)
    return b"".join(parts)


def _summary(answer: Answer) -> str:
    return json.dumps(
        {
            "read_rows": str(answer.read_rows),
            "read_bytes": str(answer.read_bytes),
            "written_rows": str(answer.written_rows),
            "written_bytes": str(answer.written_bytes),
            "elapsed_ns": str(answer.elapsed_ns),
        }
    )


def _success(reply: Reply, query_id: str, accepted: str) -> Response:
    data = reply.answer.data
    headers = {
        "X-ClickHouse-Query-Id": query_id,
        "X-ClickHouse-Server-Display-Name": DISPLAY_NAME,
        "X-ClickHouse-Timezone": "UTC",
        "X-ClickHouse-Summary": _summary(reply.answer),
        "X-Content-Type-Options": "nosniff",
    }
    if reply.output_format:
        headers["X-ClickHouse-Format"] = reply.output_format
    if len(data) > _COMPRESS_FROM_BYTES:
        if "lz4" in accepted:
            data, headers["Content-Encoding"] = lz4.frame.compress(data), "lz4"
        elif "zstd" in accepted:
            data, headers["Content-Encoding"] = zstandard.compress(data, 1), "zstd"
        elif "gzip" in accepted:
            data, headers["Content-Encoding"] = gzip.compress(data, 1), "gzip"
    return Response(data, headers=headers, media_type="application/octet-stream")


def _failure(message: str, code: int, status: int | None = None) -> Response:
    text = message if message.startswith("Code:") else f"Code: {code}. DB::Exception: {message}"
    return PlainTextResponse(
        text + "\n",
        status_code=status or _STATUS.get(code, 500),
        headers={
            "X-ClickHouse-Exception-Code": str(code),
            "X-ClickHouse-Server-Display-Name": DISPLAY_NAME,
            "X-Content-Type-Options": "nosniff",
        },
    )
