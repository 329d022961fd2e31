"""An HTTP request as the handlers see it, and the answers they give; plain ASGI, no framework."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from streams.gateway.problem import Problem
from streams.inbound import Delivery, Headers, Reply

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
TEXT = b"text/plain; version=0.0.4; charset=utf-8"


class Request(NamedTuple):
    """One request; header names are lower-case bytes."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    receive: Receive
    query: str = ""  # as sent, not decoded
    raw_headers: Sequence[tuple[bytes, bytes]] = ()  # as sent, doubled ones included

    def text(self, name: bytes) -> str:
        """Return a header's value, empty when missing."""
        return self.headers.get(name, b"").decode("latin-1")


class Answer(NamedTuple):
    """Status, body and headers of a response."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


def answer_of(problem: Problem) -> Answer:
    """Return the answer that a refusal is."""
    close = ((b"connection", b"close"),) if problem.close else ()
    return Answer(problem.status, problem.body(), PROBLEM_JSON, (*problem.headers, *close))


def answer_of_reply(reply: Reply) -> Answer:
    """Return the answer that a source's or form's own reply is."""
    headers = tuple((name.encode("latin-1"), text.encode("latin-1")) for name, text in reply.headers)
    return Answer(reply.status, reply.body, reply.content_type.encode(), headers)


def delivery_of(request: Request, body: bytes, at_us: int) -> Delivery:
    """Return a request as sources and forms see it; `at_us` is our clock."""
    return Delivery(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=Headers(request.raw_headers),
        body=body,
        at_s=at_us / 1_000_000,
    )


async def respond(send: Send, answer: Answer) -> None:
    """Send a whole answer."""
    body = answer.body
    headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(body))]
    if answer.status == HTTPStatus.NO_CONTENT:  # RFC 9110 8.6: a 204 must not have a length
        headers = []
    headers += answer.headers
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
