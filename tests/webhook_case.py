"""Deliveries of webhooks through the gateway's own code, the receiver's clock in hand."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from streams.wiring.check_request import Captured, check

AT_S = 1_800_000_000
Fields = Mapping[str, str | Sequence[str]]
BODY = b'{"type": "a.b", "id": "x1", "n": 1}'
_REFUSAL = {
    "type": "urn:ensue:unauthorized",
    "title": "Unauthorized",
    "status": 401,
    "detail": "The sender did not prove who it is.",
}


def mac(secret: bytes, message: bytes, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    """OpenSSL's HMAC, which is not the one that the schemes call."""
    made = HMAC(secret, algorithm or hashes.SHA256())
    made.update(message)
    return made.finalize()


async def delivered(
    kind: str,
    headers: Fields,
    body: bytes,
    secret: str | Sequence[str] | Mapping[str, Any] | None,
    *,
    at_s: float = AT_S,
    query: str = "",
) -> dict[str, Any]:
    """What `ensue check-request` says of one delivery."""
    request = Captured.model_validate(
        {
            "headers": {
                name: value if isinstance(value, str) else list(value) for name, value in headers.items()
            },
            "body_b64": base64.b64encode(body).decode(),
            "secret": secret if isinstance(secret, str | dict) or secret is None else list(secret),
            "query": query,
        }
    )
    return await check(request, kind, now_s=at_s)


def must_be_refused(told: Mapping[str, Any]) -> None:
    """401 with the same words for every reason, and nothing kept."""
    assert told["status"] == 401, told
    assert told["events"] == []
    assert told["headers"]["www-authenticate"] == "Ensue"
    assert json.loads(told["body"]) == _REFUSAL


def the_event(told: Mapping[str, Any]) -> dict[str, Any]:
    """The one event of a delivery that was taken."""
    assert told["status"] in {200, 202}, told
    assert told["problem"] is None, told
    (event,) = told["events"]
    return dict(event)


class Attempt(NamedTuple):
    """One delivery and what the receiver believes."""

    headers: Fields
    body: bytes
    secret: str | Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeCase:
    """A scheme as the common attacks see it.

    Attributes:
        kind: Of the source.
        sign: Headers of a body under a secret, signed at a time: the sender's side, by other code than ours.
        secret: The receiver's.
        other: Another one of the same form.
        signature: Header of the signature.
        time: Header of the signed time, None where none is signed or it stands in the signature's header.
        timed: Whether a time is signed.

    """

    kind: str
    sign: Callable[[bytes, str, int], dict[str, str]]
    secret: str
    other: str
    signature: str
    time: str | None = None
    timed: bool = False

    def good(self, body: bytes = BODY, *, at_s: int = AT_S) -> Attempt:
        """A delivery that must be taken."""
        return Attempt(self.sign(body, self.secret, at_s), body, self.secret)

    def refusals(self) -> dict[str, Attempt]:
        """Deliveries that must be refused, by what is wrong with them."""
        good = self.good()
        signed = good.headers
        signature = str(signed[self.signature])
        found = {
            "tampered body": good._replace(body=BODY.replace(b"1}", b"2}")),
            "body with a space more": good._replace(body=BODY + b" "),
            "another body": good._replace(body=b""),
            "wrong secret": good._replace(secret=self.other),
            "two wrong secrets": good._replace(secret=[self.other, self.other + "x"]),
            "no secret": good._replace(secret=[]),
            "empty secret": good._replace(secret=[""]),
            "signed with an empty secret": Attempt(self.sign(BODY, "", AT_S), BODY, ["", self.secret]),
            "no headers": good._replace(headers={}),
            "no signature": good._replace(headers=without(signed, self.signature)),
            "doubled signature": good._replace(headers=doubled(signed, self.signature)),
            "signature joined with itself": self._with(f"{signature}, {signature}"),
        }
        odd = {
            "empty": "",
            "blank": "   ",
            "non-ASCII": "é" * 40,
            "superscript digits": "²" * 64,
            "beyond Latin-1": "漢😀",
            "NUL": "a\x00b",
            "one letter": "a",
            "commas": "," * 100,
            "equals": "=" * 100,
            "bad base64": "v1,!!!! v1a,???? v1, v1a,",
            "nan": "t=nan,v1=nan",
            "10,000 signatures": "v1,AAAA v1a,AAAA " * 10_000,
            "10,000 of Stripe's": "t=1," + "v1=aa," * 10_000,
            "64 kB": "f" * 65_536,
            "cut": signature[:-1],
            "turned": signature[::-1],
            "other case": signature.swapcase(),
        }
        found |= {f"signature {name}": self._with(text) for name, text in odd.items()}
        if self.time is not None:
            found["no time"] = good._replace(headers=without(signed, self.time))
            found["doubled time"] = good._replace(headers=doubled(signed, self.time))
            numbers = ("-1", "0", "1e9", "+1800000000", "01800000000", "1800000000.0", "0x6b49d200")
            odd_times = ("nan", "NaN", "inf", "-inf", "1_800_000_000", *numbers)
            for text in (
                *odd_times,
                "9" * 20,
                "9" * 5000,
                "١٨٠٠٠٠٠٠٠٠",
                "",
                "²",
                "now",
                "1800000000 1800000000",
            ):
                headers = {**signed, self.time: text}
                found[f"time {text[:20]!r} of {len(text)}"] = good._replace(headers=headers)
        return found

    def signed_times(self) -> dict[str, tuple[int, bool]]:
        """Times at which a delivery is signed, each with whether the receiver takes it."""
        return {
            "now": (AT_S, True),
            "as old as may be": (AT_S - 300, True),
            "as new as may be": (AT_S + 300, True),
            "old": (AT_S - 301, False),
            "of the future": (AT_S + 301, False),
            "of 1970": (0, False),
            "of the year 3000": (32_503_680_000, False),
        }

    def _with(self, signature: str) -> Attempt:
        return self.good()._replace(headers={**self.good().headers, self.signature: signature})

    async def deliver(self, attempt: Attempt, *, at_s: float = AT_S) -> dict[str, Any]:
        """What becomes of it."""
        return await delivered(self.kind, attempt.headers, attempt.body, attempt.secret, at_s=at_s)


def without(headers: Fields, name: str) -> Fields:
    """The headers but one."""
    return {found: value for found, value in headers.items() if found.lower() != name.lower()}


def doubled(headers: Fields, name: str) -> Fields:
    """The headers, one of them twice."""
    return {
        found: [str(value), str(value)] if found.lower() == name.lower() else value
        for found, value in headers.items()
    }


def upper(headers: Fields) -> Fields:
    """The headers with names in capitals."""
    return {name.upper(): value for name, value in headers.items()}


def rotations(case: SchemeCase) -> dict[str, Attempt]:
    """Deliveries that must be taken while secrets are rotated and names vary."""
    good = case.good()
    return {
        "the only secret": good,
        "the first of two secrets": good._replace(secret=[case.secret, case.other]),
        "the second of two secrets": good._replace(secret=[case.other, case.secret]),
        "an empty secret beside it": good._replace(secret=["", case.secret]),
        "upper-case names": good._replace(headers=upper(good.headers)),
        "empty body": case.good(b""),
        "non-ASCII body": case.good('{"é": "漢😀"}'.encode()),
        "body that is no text": case.good(b"\xff\x00\xfe"),
    }
