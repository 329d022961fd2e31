"""What `hmac` of a source may say: header, algorithm, encoding, prefix, the text that is signed.

`hmac = {header = "X-Sig", template = "{timestamp}.{body}", timestamp_header = "X-Sent"}`: `{body}` are the
raw bytes, `{timestamp}` and `{id}` stand in headers of their own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Any

from streams.errors import BadInput

ALGORITHMS = ("sha256", "sha384", "sha512")
WEAK = ("sha1",)
# Where senders put a signature; read in this order when the settings name none.
HEADERS = ("x-signature", "x-signature-256", "x-hub-signature-256", "x-webhook-signature")
# Where they put what they sign along with the body; whichever is read, it is part of the signed text.
TIMESTAMP_HEADERS = ("x-timestamp", "x-signature-timestamp", "x-request-timestamp", "x-webhook-timestamp")
ID_HEADERS = ("x-webhook-id", "x-delivery-id", "x-request-id")
ENCODINGS = ("hex", "base64", "base64url")
SECRET_ENCODINGS = ("text", "base64", "hex")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacSettings:
    """What was written down, checked.

    Attributes:
        headers: Of the signature; the first that is there counts.
        prefix: Before the signature; None takes `ALGORITHM=` or nothing.
        encoding: None takes hexadecimal or base64.
        template: Literals and places in turn, as `string.Formatter` gives them.
        timestamp_headers: Of the signed time; the first that is there counts. Empty where none is signed.
        id_headers: Of the delivery's id, in the same way.

    """

    headers: tuple[str, ...]
    algorithm: str
    prefix: str | None
    encoding: str | None
    template: tuple[tuple[str, str | None], ...]
    timestamp_headers: tuple[str, ...]
    timestamp_unit: str
    id_headers: tuple[str, ...]
    secret_encoding: str


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


@lru_cache(maxsize=256)
def _checked(pairs: tuple[tuple[str, str], ...]) -> HmacSettings:
    given = dict(pairs)
    algorithm = (
        given.get("algorithm", "sha256").lower().replace("-", "").replace("_", "").removeprefix("hmac")
    )
    if algorithm in WEAK and given.get("allow_weak", "").lower() not in {"yes", "true"}:
        raise BadInput(
            f'hmac.algorithm {algorithm} is weak; write allow_weak = "yes" if the sender has no other'
        )
    if algorithm not in (*ALGORITHMS, *WEAK):
        raise BadInput(f"hmac.algorithm is none of {', '.join(ALGORITHMS)}")
    template = _template(given.get("template", "{body}"))
    places = [place for _, place in template]
    if "body" not in places:
        raise BadInput("hmac.template has no {body}: whoever sees one delivery could sign any other")
    if "timestamp_header" in given and "timestamp" not in places:
        raise BadInput("hmac.timestamp_header names a time that hmac.template does not sign; add {timestamp}")
    return HmacSettings(
        headers=_headers(given, "header", HEADERS),
        algorithm=algorithm,
        prefix=given.get("prefix"),
        encoding=_choice(given, "encoding", ENCODINGS),
        template=template,
        timestamp_headers=_headers(
            given, "timestamp_header", TIMESTAMP_HEADERS if "timestamp" in places else ()
        ),
        timestamp_unit=_choice(given, "timestamp_unit", UNITS) or "s",
        id_headers=_headers(given, "id_header", ID_HEADERS if "id" in places else ()),
        secret_encoding=_choice(given, "secret_encoding", SECRET_ENCODINGS) or "text",
    )


def _choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    found = given.get(name)
    if found is not None and found not in choices:
        raise BadInput(f"hmac.{name} is none of {', '.join(choices)}")
    return found


def _headers(given: Mapping[str, str], name: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    found = given.get(name)
    if found is None:
        return usual
    if not _HEADER_NAME(found):
        raise BadInput(f"hmac.{name} is no name of a header")
    return (found.lower(),)


def _template(text: str) -> tuple[tuple[str, str | None], ...]:
    try:
        parts = [(literal, place, form, how) for literal, place, form, how in Formatter().parse(text)]
    except ValueError as error:
        raise BadInput(f"hmac.template cannot be read: {error}") from None
    for _, place, form, how in parts:
        if place is not None and (place not in PLACES or form or how):
            raise BadInput("hmac.template knows {timestamp}, {id} and {body}, and nothing else in braces")
    return tuple((literal, place) for literal, place, _, _ in parts)
