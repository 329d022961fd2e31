"""What the signature schemes share: secrets that count, fresh times, comparisons that tell nothing."""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence

from streams.inbound import Headers, Unauthenticated
from streams.sources.trust import Trust

SIGNATURES_MAX = 16  # of one delivery; senders show two while they rotate
SECRETS_MAX = 16
_SECONDS = re.compile(r"[0-9]{1,15}").fullmatch


def secrets_of(trust: Trust) -> list[bytes]:
    """Return the secrets that may prove something: with an empty one everybody could sign."""
    return [secret for secret in trust.secrets if secret.strip()][:SECRETS_MAX]


def lacks_secret(trust: Trust) -> str:
    """Return what is missing, as a sentence; empty when nothing is."""
    return "" if secrets_of(trust) else "it has no secret, so every delivery is refused with 401"


def needed(headers: Headers, name: str) -> str:
    """Return a header that must be there once; raises Unauthenticated or Doubled."""
    found = headers.one(name)
    text = "" if found is None else found.strip(" \t")
    if not text:
        raise Unauthenticated(f"header {name} is missing")
    return text


def fresh_s(text: str, *, at_s: float, tolerance_s: float) -> int:
    """Return a signed time in Unix seconds; raises Unauthenticated when it is none, old or of the future."""
    seconds = seconds_of(text)
    if seconds is None:
        raise Unauthenticated("the timestamp is no number of seconds")
    return near_s(seconds, at_s=at_s, tolerance_s=tolerance_s)


def seconds_of(text: str) -> int | None:
    """Return Unix seconds written in plain digits; None for everything else."""
    return int(text) if _SECONDS(text) else None


def near_s(seconds: int, *, at_s: float, tolerance_s: float) -> int:
    """Return `seconds`; raises Unauthenticated when they lie outside the window around our clock."""
    # Written so that a NaN is refused as well.
    if not abs(at_s - seconds) <= tolerance_s:
        raise Unauthenticated("the timestamp lies outside the window")
    return seconds


def hex_text(mac: bytes) -> bytes:
    """Return the digest as lower-case hexadecimal text."""
    return mac.hex().encode()


def must_prove(
    shown: Sequence[str],
    secrets: Sequence[bytes],
    message: bytes,
    *,
    encode: Callable[[bytes], bytes] = hex_text,
    algorithm: str = "sha256",
) -> None:
    """Return when one of the signatures is one of our secrets' HMAC of `message`, else raise Unauthenticated.

    All are compared with all, so that the time taken tells nothing of which was near.
    """
    given = [text.encode("latin-1") for text in shown[:SIGNATURES_MAX]]
    wanted = [encode(hmac.digest(secret, message, algorithm)) for secret in secrets]
    found = [hmac.compare_digest(one, other) for one in given for other in wanted]
    if not any(found):
        raise Unauthenticated("no signature is valid")


def base64_bytes(text: str | bytes) -> bytes | None:
    """Return the bytes of strict base64, padded or not; None when it is none."""
    raw = text.encode("latin-1", "replace") if isinstance(text, str) else text
    raw = raw.rstrip(b"=")
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
