"""A file of secrets: one a line, the newest first; one that was rotated out says until when it is valid.

A line is the secret, or the secret, a tab and `until 2026-11-23T20:00:00+00:00`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

_UNTIL = b"\tuntil "
ENDED_S = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One secret; `until_s` is the Unix time at which it stops being valid, None: never."""

    value: bytes
    until_s: float | None = None

    def __repr__(self) -> str:
        """Never show the secret."""
        return f"Secret(until_s={self.until_s})"


def parse(raw: bytes) -> tuple[Secret, ...]:
    """Return the secrets of a file's bytes; one whose end cannot be read is over."""
    found = []
    for line in raw.split(b"\n"):
        value, marked, until = line.partition(_UNTIL)
        if value.strip():
            found.append(Secret(value=value.strip(), until_s=_end_s(until) if marked else None))
    return tuple(found)


def valid(secrets: Sequence[Secret], now_s: float) -> tuple[Secret, ...]:
    """Return those that are valid at `now_s`."""
    return tuple(one for one in secrets if one.until_s is None or now_s < one.until_s)


def rotated(secrets: Sequence[Secret], new: bytes, *, now_s: float, keep_s: float) -> tuple[Secret, ...]:
    """Return the file with `new` first; what was valid stays so for at most `keep_s` more seconds."""
    end_s = now_s + keep_s
    kept = [
        replace(one, until_s=end_s if one.until_s is None else min(one.until_s, end_s))
        for one in valid(secrets, now_s)
        if one.value != new
    ]
    return (Secret(value=new), *(one for one in kept if keep_s > 0))


def finished(secrets: Sequence[Secret]) -> tuple[Secret, ...]:
    """Return the file without those that were rotated out."""
    return tuple(one for one in secrets if one.until_s is None)


def write(path: Path, secrets: Sequence[Secret]) -> None:
    """Replace the file in one step; it and its folder are for their owner alone. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(b"".join(_line(one) for one in secrets))
    part.replace(path)


def _line(secret: Secret) -> bytes:
    if secret.until_s is None:
        return secret.value + b"\n"
    return secret.value + _UNTIL + datetime.fromtimestamp(secret.until_s, UTC).isoformat().encode() + b"\n"


def _end_s(text: bytes) -> float:
    try:
        at = datetime.fromisoformat(text.strip().decode("ascii"))
    except ValueError:
        return ENDED_S
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
