"""Refusals as RFC 9457 problem JSON: what is wrong, where, and what to do; never an exception's name."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson

RETRY_AFTER_S = 1


class Problem(Exception):
    """An answer other than 2xx.

    Attributes:
        status: HTTP status.
        slug: The kind, stable for programs; becomes `type` as `urn:ensue:SLUG`.
        detail: A sentence for people.
        headers: Further response headers.
        close: Whether the connection cannot be used on, because the body was not read.

    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        ids: Sequence[str] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
        close: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.errors = errors
        self.ids = ids
        self.headers = headers
        self.close = close

    def body(self) -> bytes:
        """Return the problem JSON."""
        fields: dict[str, Any] = {
            "type": f"urn:ensue:{self.slug}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            fields["errors"] = list(self.errors)
        if self.ids:
            fields["ids"] = list(self.ids)
        return orjson.dumps(fields)


def unavailable(
    slug: str, detail: str, *, ids: Sequence[str] = (), retry_after_s: float = RETRY_AFTER_S
) -> Problem:
    """Return a 503 that asks to come again."""
    wait = str(max(1, round(retry_after_s))).encode()
    return Problem(503, slug, detail, ids=ids, headers=((b"retry-after", wait),))
