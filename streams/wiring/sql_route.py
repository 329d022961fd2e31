"""`POST /sql` at the gateway: one read-only statement, answered as ClickHouse's JSON."""

import json
from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from streams.errors import BadInput, EnsueError, Overload
from streams.store.queries.reader import StoreReader
from streams.store.read_only_sql import ReadOnlySql
from streams.strict_json import JsonRefused, loads

_BODY_BYTES_MAX = 1 << 20
_DEPTH_MAX = 8


def sql_routes(store: StoreReader) -> Sequence[BaseRoute]:
    """Return the route; the gateway has checked Host and Origin before it is reached."""
    ask = ReadOnlySql(store)

    async def post_sql(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return problem(415, "unsupported media type", 'send application/json: {"query": "SELECT ..."}')
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _BODY_BYTES_MAX:
                return problem(413, "too large", f"a statement has at most {_BODY_BYTES_MAX} bytes")
        try:
            document = loads(bytes(body), depth_max=_DEPTH_MAX)
            query = document["query"]
        except (JsonRefused, KeyError, TypeError):
            return problem(422, "not a query", 'send {"query": "SELECT ..."}')
        if not isinstance(query, str):
            return problem(422, "not a query", "query must be text")
        try:
            answer = await run_in_threadpool(ask.run, query, "JSON")
        except BadInput as error:
            return problem(422, "statement refused", str(error))
        except Overload as error:
            return problem(429, "too many readers", str(error), retry_after_s=error.retry_after_s)
        except EnsueError as error:
            return problem(503, "store unavailable", str(error), retry_after_s=1.0)
        return Response(answer, media_type="application/json")

    return [Route("/sql", post_sql, methods=["POST"])]


def problem(status: int, title: str, detail: str, *, retry_after_s: float | None = None) -> Response:
    """Return problem JSON (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, round(retry_after_s)))}
    return Response(json.dumps(body), status, headers=headers, media_type="application/problem+json")
