"""HMAC as a source's own settings describe it, over the raw bytes."""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from streams.errors import BadInput
from streams.inbound import Delivery, Headers, Keys, Unauthenticated
from streams.sources.made_event import time_of
from streams.sources.trust import Trust
from streams.sources.webhooks.hmac_settings import HmacSettings, hmac_settings
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

_ID_CHARS_MAX = 256
_HEX = re.compile(r"[0-9A-Fa-f]+").fullmatch
_MILLISECONDS = re.compile(r"[0-9]{1,17}").fullmatch


def _base64url(mac: bytes) -> bytes:
    return base64.urlsafe_b64encode(mac).rstrip(b"=")


def _unhex(secret: bytes) -> bytes | None:
    try:
        return bytes.fromhex(secret.decode("ascii"))
    except ValueError:
        return None


_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "hex": hex_text,
    "base64": base64.b64encode,
    "base64url": _base64url,
}
_SECRETS: Mapping[str, Callable[[bytes], bytes | None]] = {
    "text": lambda secret: secret,
    "base64": base64_bytes,
    "hex": _unhex,
}


class GenericHmac:
    """The scheme of kind `hmac`."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Build the signed text from the raw bytes and compare; check the time where it is signed."""
        del keys
        try:
            settings = hmac_settings(trust.hmac)
        except BadInput:
            raise Unauthenticated("the settings of hmac are wrong") from None
        shown = _first(settings.headers, delivery.headers)
        message = _message(settings, delivery, trust)
        secrets = [key for one in secrets_of(trust) if (key := _SECRETS[settings.secret_encoding](one))]
        encoding = settings.encoding
        wanted = _unwrapped(shown, settings)
        if encoding is None:
            encoding = "hex" if _HEX(wanted) else "base64"
        wanted = wanted.lower() if encoding == "hex" else wanted
        wanted = wanted.rstrip("=") if encoding == "base64url" else wanted
        must_prove([wanted], secrets, message, encode=_ENCODERS[encoding], algorithm=settings.algorithm)

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
    number, time = (
        headers.one(_present(names, headers)) if names else None
        for names in (settings.id_headers, settings.timestamp_headers)
    )
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
    for at, (literal, place) in enumerate(settings.template):
        parts.append(literal.encode())
        if place == "body":
            parts.append(delivery.body)
        elif place == "timestamp":
            text = _first(settings.timestamp_headers, delivery.headers)
            _check_time(settings, text, delivery, trust)
            parts.append(text.encode("latin-1"))
        elif place == "id":
            number = _first(settings.id_headers, delivery.headers)
            after = settings.template[at + 1][0] if at + 1 < len(settings.template) else ""
            # An id that holds what follows it could be cut elsewhere: the text would have two readings.
            if len(number) > _ID_CHARS_MAX or (after and after in number):
                raise Unauthenticated("the id is too long, or none that can be signed")
            parts.append(number.encode("latin-1"))
    return b"".join(parts)


def _first(names: tuple[str, ...], headers: Headers) -> str:
    return needed(headers, _present(names, headers))


def _present(names: tuple[str, ...], headers: Headers) -> str:
    return next((name for name in names if headers.all(name)), names[0])


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
