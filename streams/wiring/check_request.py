"""Captured requests through the gateway's own code: no broker, no store, no call to anybody."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.codec import fixed_codec
from schemas.event import Event
from schemas.event_record import as_posted, to_event
from schemas.record import DeadLetter, EventRecord
from streams.errors import BadInput, Poison
from streams.gateway.ports import Row
from streams.gateway.server import Served
from streams.inbound import Unauthenticated
from streams.kafka.log_record import LogRecord
from streams.settings import Settings
from streams.sources.cdc.record import ChangeReading
from streams.sources.cloudevents.body import CloudEventsBody
from streams.sources.kafka_value import Values
from streams.sources.kinds import KINDS, hook_source
from streams.sources.trust import Trust
from streams.sources.webhooks.hmac_settings import KEYS as HMAC_KEYS

NAME = "check"
DEBEZIUM = "debezium"  # no request but a record of a topic, read as translate does
_OURS = {"host", "content-length", "transfer-encoding", "connection"}
# These come in where everybody's events do; every other kind has its own endpoint.
_AT_EVENTS = {"none", "cloudevents"}
KIND_NAMES = sorted({*KINDS, *_AT_EVENTS, DEBEZIUM})


class Captured(BaseModel):
    """One request as somebody wrote it down."""

    model_config = ConfigDict(extra="forbid")

    name: str = ""
    method: str = "POST"
    path: str | None = None
    query: str | dict[str, str] = ""
    headers: dict[str, str | list[str]] = Field(default_factory=dict)
    body: str | dict[str, Any] | list[Any] | None = None
    body_b64: str | None = None
    secret: str | list[str] | dict[str, Any] | None = None
    timestamp: Annotated[float, Field(ge=0)] | None = None
    key: Any = Field(None, description="of a record of Debezium, as JSON")
    topic: str = ""

    def raw(self) -> bytes:
        """Return the body's bytes; a body given as JSON is written compactly."""
        if self.body_b64 is not None:
            return base64.b64decode(self.body_b64, validate=True)
        if self.body is None:
            return b""
        text = self.body if isinstance(self.body, str) else json.dumps(self.body, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass")


class _Log:
    """Keeps what the gateway would have written."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, Row]] = []

    async def append(self, topic: str, rows: Sequence[Row]) -> Sequence[int]:
        self.rows += [(topic, row) for row in rows]
        return []


class _Nothing:
    """No store: nothing is visible, nobody is behind."""

    async def visible(self, event_id: str) -> bool:
        del event_id
        return False

    async def share_of_retention(self) -> float:
        return 0.0


class _Given:
    """Certificates by address are all that is believed; confirmations are taken as made."""

    def __init__(self, certs: Mapping[str, str]) -> None:
        self._certs = certs

    async def get(self, url: str) -> bytes:
        if url not in self._certs:
            raise Unauthenticated("a key that is not among the given ones")
        return self._certs[url].encode()

    async def confirm(self, url: str) -> None:
        del url


class _At:
    """A clock that stands."""

    def __init__(self, at_s: float) -> None:
        self._at_s = at_s

    def now_us(self) -> int:
        return round(self._at_s * 1_000_000)

    def monotonic_s(self) -> float:
        return self._at_s


def captured(text: str) -> list[Captured]:
    """Parse a file of requests; raises BadInput that names the item."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the file is not JSON: {error}") from None
    if not isinstance(document, list):
        raise BadInput("the file must hold a JSON list of requests")
    found = []
    for at, item in enumerate(document):
        try:
            request = Captured.model_validate(item)
            request.raw()
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise BadInput(f"request {at}: {place}: {first['msg']}") from None
        except ValueError as error:
            raise BadInput(f"request {at}: body_b64: {error}") from None
        found.append(request)
    return found


def trust_of(secret: str | list[str] | Mapping[str, Any] | None) -> Trust:
    """Return the trust that a request's `secret` describes; raises BadInput for a field nobody knows."""
    if secret is None:
        return Trust()
    if isinstance(secret, str):
        return Trust(secrets=(secret.encode(),))
    if isinstance(secret, list):
        return Trust(secrets=tuple(text.encode() for text in secret))
    given = {**secret}
    given.pop("certs", None)
    secrets = [given.pop(name) for name in ("secrets", "secret", "token") if name in given]
    flat = [text for found in secrets for text in (found if isinstance(found, list) else [found])]
    fields: dict[str, Any] = {"secrets": tuple(str(text).encode() for text in flat)}
    for name, make in (("topic_arns", frozenset), ("issuers", tuple), ("allowed_origins", tuple)):
        if name in given:
            found = given.pop(name)
            fields[name] = make([found] if isinstance(found, str) else found)
    if "tolerance_s" in given:
        found = given.pop("tolerance_s")
        if not isinstance(found, int | float) or isinstance(found, bool) or not found > 0:
            raise BadInput("secret: tolerance_s must be a number of seconds above 0")
        fields["tolerance_s"] = float(found)
    described = {name: given.pop(name) for name in HMAC_KEYS if name in given}
    if described:
        given["hmac"] = described
    try:
        return Trust(**fields, **given)
    except TypeError:
        known = (
            "secrets, certs, topic_arns, jwks, audience, email, issuers, query_token, allowed_origins, hmac"
        )
        raise BadInput(f"secret has a field that no kind knows; these are known: {known}") from None


async def check(request: Captured, kind: str, *, now_s: float) -> dict[str, Any]:
    """Send one request; return status, headers, body, the events that came of it, and the problem if any."""
    if kind == DEBEZIUM:
        return _change(request)
    trust = trust_of(request.secret)
    certs = request.secret.get("certs", {}) if isinstance(request.secret, Mapping) else {}
    log = _Log()
    at_s = now_s if request.timestamp is None else request.timestamp
    hooks = {} if _at_events(kind, trust) else {NAME: hook_source(kind, NAME, lambda: trust)}
    served = Served(
        Settings(),
        log=log,
        codec=fixed_codec(),
        probe=_Nothing(),
        lag=_Nothing(),
        hooks=hooks,
        clock=_At(at_s),
        outbound=_Given(certs),
        form=CloudEventsBody(trust.allowed_origins),
    )
    path, query = _address(request, kind, at_events=_at_events(kind, trust))
    sent: list[dict[str, Any]] = []
    body = request.raw()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await served.app(
        {
            "type": "http",
            "method": request.method.upper(),
            "path": path,
            "query_string": _wire(query),
            "headers": _headers(request, len(body)),
        },
        receive,
        send,
    )
    return _told(request, sent, log)


def _change(request: Captured) -> dict[str, Any]:
    """Read a record of Debezium; no registry is asked."""
    headers = {name: text if isinstance(text, str) else text[-1] for name, text in request.headers.items()}
    key = request.key
    if key is not None:
        key = (key if isinstance(key, str) and key[:1] in "{[" else json.dumps(key)).encode()
    record = LogRecord(
        topic=request.topic,
        partition=0,
        offset=0,
        timestamp_ms=0,
        key=key,
        value=request.raw() or None,
        headers=[(name, text.encode()) for name, text in headers.items()],
    )
    events: Sequence[Event] = ()
    problem = None
    try:
        events = ChangeReading(source=NAME, values=Values("json", None)).taken(record).events
    except Poison as poison:
        problem = _letter(poison.reason, str(poison))
    return {
        "name": request.name,
        "status": 202,
        "headers": {},
        "body": json.dumps({"ids": [event.id for event in events]}),
        "events": [_shown(event) for event in events],
        "problem": problem,
    }


def _letter(reason: str, error: str) -> dict[str, str]:
    return {"type": "urn:ensue:dead-letter", "reason": reason, "detail": error}


def _headers(request: Captured, length: int) -> list[tuple[bytes, bytes]]:
    """Return the headers as a server has them: the host is ours, the length the body's."""
    pairs = [(b"host", b"127.0.0.1"), (b"content-length", b"%d" % length)]
    for name, value in request.headers.items():
        if name.lower() not in _OURS:
            values = [value] if isinstance(value, str) else value
            pairs.extend((_wire(name.lower()), _wire(text)) for text in values)
    return pairs


def _wire(text: str) -> bytes:
    """Return a header text's bytes: HTTP's Latin-1, else UTF-8 as clients in the wild send it."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _at_events(kind: str, trust: Trust) -> bool:
    """Return whether a kind comes in where everybody's events do; with a secret it is a source of its own."""
    return kind == "none" or (kind in _AT_EVENTS and not trust.secrets)


def _address(request: Captured, kind: str, *, at_events: bool) -> tuple[str, str]:
    """Return path and query; a path of its own counts where everything of ours can be asked (kind none)."""
    own, _, query = (request.path or "").partition("?")
    given = request.query if isinstance(request.query, str) else urlencode(request.query)
    ours = own if own and kind == "none" else "/events"
    path = ours if at_events else f"/hooks/{NAME}"
    return path, given.removeprefix("?") or query


def _told(request: Captured, sent: list[dict[str, Any]], log: _Log) -> dict[str, Any]:
    codec = fixed_codec()
    start = next((message for message in sent if message["type"] == "http.response.start"), None)
    body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in (start or {}).get("headers", ())
    }
    problem: Any = None
    if headers.get("content-type", "").startswith("application/problem+json"):
        problem = json.loads(body)
    events, letters = [], []
    for topic, row in log.rows:
        if topic.endswith("dead-letters"):
            letters.append(codec.decode(row[2], DeadLetter))
        else:
            events.append(_shown(to_event(codec.decode(row[2], EventRecord))))
    if letters and problem is None:
        problem = _letter(letters[0].reason, letters[0].error)
    return {
        "name": request.name,
        "status": start["status"] if start else 0,
        "headers": headers,
        "body": body.decode("utf-8", "replace"),
        "events": events,
        "problem": problem,
    }


def _shown(event: Event) -> dict[str, Any]:
    """Return an event as POST /events takes it, without what it does not have."""
    links = {"follows": event.follows} if event.follows else {}
    return {name: value for name, value in as_posted(event).items() if name != "related" or value} | links
