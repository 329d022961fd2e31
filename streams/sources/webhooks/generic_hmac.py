"""HMAC as a source's own settings describe it: header, algorithm, encoding, prefix, the text that is signed.

`hmac = {header = "X-Sig", template = "{timestamp}.{body}", timestamp_header = "X-Sent"}`: `{body}` are the
raw bytes, `{timestamp}` and `{id}` stand in headers of their own.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from string import Formatter
from typing import Any

from streams.errors import BadInput
from streams.inbound import Delivery, Headers, Keys, Unauthenticated
from streams.sources.made_event import time_of
from streams.sources.trust import Trust
from streams.sources.webhooks.proof import (
    base64_bytes,
    fresh_s,
    hex_text,
    lacks_secret,
    must_prove,
    near_s,
    needed,
    secrets_of,
)

ALGORITHMS = ("sha256", "sha384", "sha512")
WEAK = ("sha1",)
# Where senders put a signature; read in this order when the settings name none.
HEADERS = ("x-signature", "x-signature-256", "x-hub-signature-256", "x-webhook-signature")
PLACES = ("timestamp", "id", "body")
UNITS = ("s", "ms", "iso")
KEYS = (
    "header",
    "algorithm",
    "allow_weak",
    "encoding",
    "prefix",
    "template",
    "timestamp_header",
    "timestamp_unit",
    "id_header",
    "secret_encoding",
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}").fullmatch
_ID_CHARS_MAX = 256
_MILLISECONDS = re.compile(r"[0-9]{1,17}").fullmatch


def _base64url(mac: bytes) -> bytes:
    return base64.urlsafe_b64encode(mac).rstrip(b"=")


def _unhex(secret: bytes) -> bytes | None:
    try:
        return bytes.fromhex(secret.decode("ascii"))
    except ValueError:
        return None


_ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": hex_text,
    "base64": base64.b64encode,
    "base64url": _base64url,
}
_SECRETS: Mapping[str, Callable[[bytes], bytes | None]] = {
    "text": lambda secret: secret,
    "base64": base64_bytes,
    "hex": _unhex,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacSettings:
    """What was written down, checked.

    Attributes:
        headers: Of the signature; the first that is there counts.
        prefix: Before the signature; None takes `ALGORITHM=` or nothing.
        encoding: None takes hexadecimal or base64.
        template: Literals and places in turn, as `string.Formatter` gives them.

    """

    headers: tuple[str, ...]
    algorithm: str
    prefix: str | None
    encoding: str | None
    template: tuple[tuple[str, str | None], ...]
    timestamp_header: str | None
    timestamp_unit: str
    id_header: str | None
    secret_encoding: str

    @property
    def signs_time(self) -> bool:
        """Whether a captured delivery ends to be good."""
        return any(place == "timestamp" for _, place in self.template)


def hmac_settings(given: Mapping[str, Any] | None) -> HmacSettings:
    """Return the settings of a source; raises BadInput that names what cannot be."""
    if given is not None and not isinstance(given, Mapping):
        raise BadInput("hmac must be a table of texts")
    pairs = tuple(sorted((str(name), value) for name, value in (given or {}).items()))
    for name, value in pairs:
        if name not in KEYS:
            raise BadInput(f"hmac.{name[:50]} does not exist; there are {', '.join(KEYS)}")
        if not isinstance(value, str):
            raise BadInput(f"hmac.{name} must be a text")
    return _checked(pairs)


class GenericHmac:
    """The scheme of kind `hmac`."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Build the signed text from the raw bytes and compare; check the time where it is signed."""
        del keys
        try:
            settings = hmac_settings(trust.hmac)
        except BadInput:
            raise Unauthenticated("the settings of hmac are wrong") from None
        header = next((name for name in settings.headers if delivery.headers.all(name)), settings.headers[0])
        shown = needed(delivery.headers, header)
        message = _message(settings, delivery, trust)
        secrets = [key for one in secrets_of(trust) if (key := _SECRETS[settings.secret_encoding](one))]
        encoding = settings.encoding
        wanted = _unwrapped(shown, settings)
        if encoding is None:
            encoding = "hex" if re.fullmatch(r"[0-9A-Fa-f]+", wanted) else "base64"
        wanted = wanted.lower() if encoding == "hex" else wanted
        wanted = wanted.rstrip("=") if encoding == "base64url" else wanted
        must_prove([wanted], secrets, message, encode=_ENCODINGS[encoding], algorithm=settings.algorithm)

    def lacks(self, trust: Trust) -> str:
        """Say what is missing or unreadable."""
        try:
            settings = hmac_settings(trust.hmac)
        except BadInput as error:
            return str(error)
        if any(not _SECRETS[settings.secret_encoding](one) for one in secrets_of(trust)):
            return f"one of its secrets is not {settings.secret_encoding}"
        return lacks_secret(trust)


def signed_identity(settings: HmacSettings, headers: Headers) -> tuple[str | None, str | None]:
    """Return the delivery's id and signed time as the settings place them; raises Doubled."""
    number = None if settings.id_header is None else headers.one(settings.id_header)
    time = headers.one(settings.timestamp_header or "") if settings.signs_time else None
    return number, time


def told_time(settings: HmacSettings, text: str | None) -> datetime | None:
    """Return the signed time of a delivery that was found authentic."""
    if text is None:
        return None
    if settings.timestamp_unit == "iso":
        return time_of(text)
    if not _MILLISECONDS(text):
        return None
    return time_of(int(text) / (1000 if settings.timestamp_unit == "ms" else 1))


def _message(settings: HmacSettings, delivery: Delivery, trust: Trust) -> bytes:
    parts: list[bytes] = []
    for literal, place in settings.template:
        parts.append(literal.encode())
        if place == "body":
            parts.append(delivery.body)
        elif place == "timestamp":
            text = needed(delivery.headers, settings.timestamp_header or "")
            _check_time(settings, text, delivery, trust)
            parts.append(text.encode("latin-1"))
        elif place == "id":
            number = needed(delivery.headers, settings.id_header or "")
            if len(number) > _ID_CHARS_MAX:
                raise Unauthenticated("the id is too long")
            parts.append(number.encode("latin-1"))
    return b"".join(parts)


def _check_time(settings: HmacSettings, text: str, delivery: Delivery, trust: Trust) -> None:
    window = {"at_s": delivery.at_s, "tolerance_s": trust.tolerance_s}
    if settings.timestamp_unit == "s":
        fresh_s(text, **window)
    elif settings.timestamp_unit == "ms":
        if not _MILLISECONDS(text):
            raise Unauthenticated("the timestamp is no number of milliseconds")
        near_s(int(text) // 1000, **window)
    else:
        at = time_of(text)
        if at is None:
            raise Unauthenticated("the timestamp is no ISO 8601 time")
        near_s(int(at.timestamp()), **window)


def _unwrapped(shown: str, settings: HmacSettings) -> str:
    """Take the prefix off; a signature without a prefix that is asked for is none."""
    if settings.prefix is None:
        return shown.removeprefix(f"{settings.algorithm}=")
    return shown[len(settings.prefix) :] if shown.startswith(settings.prefix) else ""


@lru_cache(maxsize=256)
def _checked(pairs: tuple[tuple[str, str], ...]) -> HmacSettings:
    given = dict(pairs)
    algorithm = given.get("algorithm", "sha256").lower().replace("-", "")
    if algorithm in WEAK and given.get("allow_weak", "").lower() not in {"yes", "true"}:
        raise BadInput(
            f'hmac.algorithm {algorithm} is weak; write allow_weak = "yes" if the sender has no other'
        )
    if algorithm not in (*ALGORITHMS, *WEAK):
        raise BadInput(f"hmac.algorithm is none of {', '.join(ALGORITHMS)}")
    settings = HmacSettings(
        headers=(_header(given, "header"),) if "header" in given else HEADERS,  # type: ignore[arg-type]
        algorithm=algorithm,
        prefix=given.get("prefix"),
        encoding=_choice(given, "encoding", tuple(_ENCODINGS)),
        template=_template(given.get("template", "{body}")),
        timestamp_header=_header(given, "timestamp_header"),
        timestamp_unit=_choice(given, "timestamp_unit", UNITS) or "s",
        id_header=_header(given, "id_header"),
        secret_encoding=_choice(given, "secret_encoding", tuple(_SECRETS)) or "text",
    )
    _check_places(settings)
    return settings


def _check_places(settings: HmacSettings) -> None:
    places = [place for _, place in settings.template]
    if "body" not in places:
        raise BadInput("hmac.template has no {body}: whoever sees one delivery could sign any other")
    if settings.signs_time and settings.timestamp_header is None:
        raise BadInput("hmac.template has {timestamp}; say in hmac.timestamp_header where it stands")
    if settings.timestamp_header is not None and not settings.signs_time:
        raise BadInput("hmac.timestamp_header names a time that hmac.template does not sign; add {timestamp}")
    if "id" in places and settings.id_header is None:
        raise BadInput("hmac.template has {id}; say in hmac.id_header where it stands")


def _choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    found = given.get(name)
    if found is not None and found not in choices:
        raise BadInput(f"hmac.{name} is none of {', '.join(choices)}")
    return found


def _header(given: Mapping[str, str], name: str) -> str | None:
    found = given.get(name)
    if found is not None and not _HEADER_NAME(found):
        raise BadInput(f"hmac.{name} is no name of a header")
    return found


def _template(text: str) -> tuple[tuple[str, str | None], ...]:
    try:
        parts = [(literal, place, form, how) for literal, place, form, how in Formatter().parse(text)]
    except ValueError as error:
        raise BadInput(f"hmac.template cannot be read: {error}") from None
    for _, place, form, how in parts:
        if place is not None and (place not in PLACES or form or how):
            raise BadInput("hmac.template knows {timestamp}, {id} and {body}, and nothing else in braces")
    return tuple((literal, place) for literal, place, _, _ in parts)
