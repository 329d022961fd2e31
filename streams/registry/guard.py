"""Loopback is not a password: who may ask the registry, and how (DESIGN 5.17). ASGI middleware."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.registry.problem import RegistryProblem
from streams.registry.reply import problem_reply

BODY_BYTES_MAX = 2 << 20
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_JSON = ("application/json", "application/vnd.schemaregistry.v1+json", "application/vnd.schemaregistry+json")


class Guard:
    """Refuses foreign Host names, foreign pages, bodies that a page may send unasked, and large bodies."""

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset((*_LOOPBACK, *(name.lower() for name in allowed_hosts)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with the refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except RegistryProblem as refused:
            await problem_reply(refused)(scope, receive, send)
            return
        await self._app(scope, _Bounded(receive), send)

    def _check(self, scope: Scope) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if _host_name(host) not in self._names:
            raise RegistryProblem(
                421, f"Host '{host[:100]}' is not one of ours; add it to allowed_hosts if it is"
            )
        origin = headers.get(b"origin")
        if origin is not None and _netloc(origin) != host.lower():
            raise RegistryProblem(403, "A page of another origin may not ask the registry")
        if scope["method"] in {"POST", "PUT"}:
            kind = headers.get(b"content-type", "").partition(";")[0].strip().lower()
            if kind not in _JSON:
                raise RegistryProblem(
                    415, f"Content-Type must be one of {', '.join(_JSON)}, not '{kind[:100]}'"
                )
        length = headers.get(b"content-length", "0")
        if not length.isdigit() or len(length) > 12 or int(length) > BODY_BYTES_MAX:
            raise _too_large()


class _Bounded:
    """Counts a body that comes without a length."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left_bytes = BODY_BYTES_MAX

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left_bytes -= len(message.get("body", b""))
        if self._left_bytes < 0:
            raise _too_large()
        return message


def _too_large() -> RegistryProblem:
    return RegistryProblem(413, f"A request body may have {BODY_BYTES_MAX} bytes at most")


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
