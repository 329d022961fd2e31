"""The one credential of Prefect's clients: an auth string `user:password`, in a header or in a message."""

import base64
import binascii
import hmac
from typing import Literal

from pydantic import SecretStr

from streams.gateway.problem import Problem

_BASIC = "basic "
Told = Literal["right", "wrong", "missing"]


class Credential:
    """Judges what a client shows, in constant time; without an auth string everybody is right."""

    def __init__(self, auth_string: SecretStr | None) -> None:
        text = "" if auth_string is None else auth_string.get_secret_value()
        self._secret = text.encode()

    @property
    def asked(self) -> bool:
        """Whether a credential is needed at all."""
        return bool(self._secret)

    def token(self, token: object) -> Told:
        """Judge the token of an auth message."""
        if not self._secret:
            return "right"
        if not token:
            return "missing"
        shown = token.encode(errors="replace") if isinstance(token, str) else b""
        return "right" if hmac.compare_digest(shown, self._secret) else "wrong"

    def header(self, value: bytes | None) -> Told:
        """Judge an Authorization header."""
        if not self._secret:
            return "right"
        if value is None:
            return "missing"
        text = value.decode("latin-1")
        if not text.lower().startswith(_BASIC):
            return "wrong"
        try:
            shown = base64.b64decode(text[len(_BASIC) :].strip(), validate=True)
        except (binascii.Error, ValueError):
            return "wrong"
        return "right" if hmac.compare_digest(shown, self._secret) else "wrong"

    def require(self, value: bytes | None) -> None:
        """Raise Problem 401 unless the Authorization header is right; it says nothing of what was wrong."""
        if self.header(value) != "right":
            headers = ((b"www-authenticate", b'Basic realm="Ensue"'),)
            raise Problem(401, "unauthorized", "The sender did not prove who it is.", headers=headers)
