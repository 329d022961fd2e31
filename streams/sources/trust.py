"""Whom a source believes: its secrets and the settings of its scheme. The values of one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What proves a sender; a scheme reads the fields it knows.

    Attributes:
        secrets: All that are valid now, the newest first; empty for a scheme without one.
        tolerance_s: How far a signed time may lie from the receiver's clock, both ways.
        topic_arns: Topics of Amazon SNS that may send.
        jwks: A JSON Web Key Set given by hand; None fetches the issuer's.
        audience: `aud` that a token must name.
        email: `email` that a token must name, verified.
        issuers: `iss` that are accepted.
        query_token: What `?token=` must be.
        allowed_origins: Senders that may register by the CloudEvents handshake; `*` for any.
        hmac: Header, algorithm, encoding, prefix and template of the kind `hmac`.

    """

    secrets: tuple[bytes, ...] = ()
    tolerance_s: float = 300.0
    topic_arns: frozenset[str] = frozenset()
    jwks: Mapping[str, Any] | None = None
    audience: str | None = None
    email: str | None = None
    issuers: tuple[str, ...] = ()
    query_token: str | None = None
    allowed_origins: tuple[str, ...] = ()
    hmac: Mapping[str, str] | None = None
