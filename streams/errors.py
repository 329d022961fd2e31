"""The three kinds of failure and their fates; every error of ours is a sentence with an exit.

EnsueError
├── Poison      this input can never work: dead letter, then go on
├── Overload    too much at once: refuse now (503/429, Retry-After), the sender retries
├── Transport   a service is away: wait and retry, lose nothing
└── BadInput    a person's mistake: CLI exit code 2, HTTP 4xx
"""


class EnsueError(Exception):
    """An error whose text says what happened, to what, and what to do next."""


class Poison(EnsueError):
    """The record can never be processed; it belongs into the dead letters with its raw bytes."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Overload(EnsueError):
    """A bound is reached; nothing was accepted, the caller may retry after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Transport(EnsueError):
    """A service we depend on does not answer; retry with back-off."""


class Fenced(Transport):
    """Another owner holds this partition now; drop its work at once."""


class BadInput(EnsueError):
    """What a person gave us cannot be used; the text names the place and the remedy."""
