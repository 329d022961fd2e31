"""The registry as our own programs ask it: over HTTP, with what never changes kept."""

import random
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from streams.errors import Transport

_ATTEMPT_TIMEOUT_S = 15.0  # a write is read back within 10 s or refused
_RETRY_FIRST_S = 0.05
_RETRY_MAX_S = 1.0
_UNKNOWN_FOR_S = 5.0
_REMEMBERED_MAX = 10_000
_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_RETRIED = frozenset({429, 500, 502, 503, 504})


class RegistryUnreachable(Transport, OSError):
    """The registry does not answer, or cannot do its work; nothing is known to have changed."""


class SchemaRefused(ValueError):
    """The registry does not take this schema; the text names field and reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """One version of a subject."""

    subject: str
    version: int
    id: int
    schema: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the version that a document of the registry says."""
        return cls(
            subject=str(document["subject"]),
            version=int(document["version"]),
            id=int(document["id"]),
            schema=str(document["schema"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Versions, and the tag under which to ask for changes."""

    versions: tuple[Registered, ...]
    etag: str


class HttpRegistry:
    """`schemas.registry.Registry` over Confluent's REST API; thread-safe.

    Ids and what they mean never change, so both are asked once. An unknown id is asked again after 5 s:
    a flood of bad records must not become a flood of requests.

    Args:
        url: Address, for example `http://127.0.0.1:4290`.
        timeout_s: For one call in all, retries included; then RegistryUnreachable (an OSError).
        login: User and password, where the registry asks for them.
        transport: Tests put their own in.

    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 30.0,
        login: tuple[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._http = httpx.Client(
            base_url=self.url,
            timeout=min(_ATTEMPT_TIMEOUT_S, timeout_s),
            headers={"accept": _MEDIA_TYPE, "content-type": _MEDIA_TYPE},
            trust_env=False,
            auth=login,
            transport=transport,
        )
        # A codec keeps this for as long as it lives; nobody else is there to close it then.
        self._closed = weakref.finalize(self, self._http.close)
        self._lock = threading.Lock()
        self._schemas: dict[int, str] = {}
        self._ids: dict[tuple[str, str], int] = {}
        self._unknown: dict[int, float] = {}  # id → monotonic time until which it is not asked again

    def register(self, subject: str, schema: str) -> int:
        """Return the id of `schema` (JSON text) under `subject`, registering it when new.

        Raises SchemaRefused when it is no schema or breaks readers, RegistryUnreachable.
        """
        return self._id_of(f"/subjects/{quote(subject, safe='')}/versions", subject, schema)

    def lookup(self, subject: str, schema: str) -> int:
        """Return the id under which `schema` is registered; never registers; raises LookupError."""
        return self._id_of(f"/subjects/{quote(subject, safe='')}", subject, schema)

    def schema(self, schema_id: int) -> str:
        """Return the JSON text of a schema; raises LookupError for an unknown id, RegistryUnreachable."""
        known = self._schemas.get(schema_id)
        if known is not None:
            return known
        if self._unknown.get(schema_id, 0.0) > time.monotonic():
            raise LookupError(f"{self.url} does not know schema id {schema_id}")
        try:
            found = str(self._ask("GET", f"/schemas/ids/{schema_id}")["schema"])
        except LookupError:
            self._remember(self._unknown, schema_id, time.monotonic() + _UNKNOWN_FOR_S)
            raise
        self._remember(self._schemas, schema_id, found)
        return found

    def listing(self, prefix: str, etag: str = "") -> Listing | None:
        """Return every version of the subjects with a prefix; None when nothing changed since `etag`.

        One attempt; a registry that lists no schemas is asked subject by subject. Raises
        RegistryUnreachable.
        """
        headers = {"if-none-match": etag} if etag else {}
        try:
            answer = self._http.get("/schemas", params={"subjectPrefix": prefix}, headers=headers)
            if answer.status_code == httpx.codes.NOT_MODIFIED:
                return None
            if answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}:
                documents = self._one_by_one(prefix)
            else:
                documents = answer.raise_for_status().json()
            versions = [Registered.of(one) for one in documents if str(one["subject"]).startswith(prefix)]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise RegistryUnreachable(
                f"the schema registry {self.url}/schemas does not answer: {type(error).__name__}: {error}"
            ) from error
        return Listing(versions=tuple(versions), etag=answer.headers.get("etag", ""))

    def _one_by_one(self, prefix: str) -> list[dict[str, Any]]:
        def asked(path: str) -> Any:
            return self._http.get(path, params={"subjectPrefix": prefix}).raise_for_status().json()

        found: list[dict[str, Any]] = []
        for subject in asked("/subjects"):
            if str(subject).startswith(prefix):
                path = f"/subjects/{quote(subject, safe='')}/versions"
                found += [asked(f"{path}/{number}") for number in asked(path)]
        return found

    def set_level(self, subject: str, level: str) -> None:
        """Set the compatibility level of a subject, for example NONE for `cdc.*`."""
        self._ask("PUT", f"/config/{quote(subject, safe='')}", {"compatibility": level})

    def ready(self) -> bool:
        """Whether the registry answers now; one attempt, no retry."""
        try:
            return self._http.get("/subjects").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        """Close connections."""
        self._closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _id_of(self, path: str, subject: str, schema: str) -> int:
        known = self._ids.get((subject, schema))
        if known is None:
            known = int(self._ask("POST", path, {"schema": schema})["id"])
            self._remember(self._ids, (subject, schema), known)
            self._remember(self._schemas, known, schema)
        return known

    def _remember(self, kept: dict[Any, Any], key: object, value: object) -> None:
        with self._lock:
            while len(kept) >= _REMEMBERED_MAX:
                del kept[next(iter(kept))]
            kept[key] = value

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask until there is an answer or the time is over; every call here may be repeated."""
        deadline_s = time.monotonic() + self._timeout_s
        wait_s = _RETRY_FIRST_S
        while True:
            try:
                answer = self._http.request(method, path, json=body)
                if answer.status_code not in _RETRIED:
                    return self._result(path, answer)
                why = _message(answer)
            except httpx.HTTPError as error:
                why = f"{type(error).__name__}: {error}"
            if time.monotonic() + wait_s >= deadline_s:
                raise RegistryUnreachable(
                    f"the schema registry {self.url}{path} did not answer within {self._timeout_s:g} s: "
                    f"{why}. Is it running? ENSUE_REGISTRY__URL names it"
                )
            time.sleep(wait_s * (0.5 + random.random() / 2))  # noqa: S311 - spreads retries, guards nothing
            wait_s = min(wait_s * 2, _RETRY_MAX_S)

    def _result(self, path: str, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_success:
            try:
                found = answer.json()
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
            raise RegistryUnreachable(f"{self.url}{path} answered, but is no schema registry")
        text = f"the schema registry {self.url}{path} says {answer.status_code}: {_message(answer)}"
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise LookupError(text)
        raise SchemaRefused(text)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
