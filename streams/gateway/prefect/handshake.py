"""The first words on a socket of Prefect's: {"type": "auth", "token": …} → {"type": "auth_success"}."""

import asyncio
from typing import Any

from streams.gateway.prefect.credential import Credential
from streams.gateway.problem import Problem
from streams.gateway.ws.socket import POLICY, PeerGone, Refused, WebSocket
from streams.strict_json import JsonRefused, loads

SUBPROTOCOL = "prefect"
WORDS_WITHIN_S = 10.0
_DEPTH_MAX = 16


async def shake_hands(socket: WebSocket, credential: Credential, *, hold: bool = False) -> None:
    """Open the socket and hear who is there; raises Problem, Refused or PeerGone.

    Old clients ask for no subprotocol and send no auth message. They are let in when no auth string is set,
    or when the upgrade carries it as a header.
    """
    shown = credential.header(socket.headers.get(b"authorization"))
    if SUBPROTOCOL not in socket.subprotocols:
        if shown != "right":
            raise Problem(403, "unauthorized", "Ask for the subprotocol `prefect` and show the auth string.")
        await socket.accept(hold=hold)
        return
    await socket.accept(subprotocol=SUBPROTOCOL, hold=hold)
    message = await heard(socket, "auth")
    told = credential.token(message.get("token"))
    if told == "wrong":
        raise Refused(POLICY, "Invalid token")
    if told == "missing" and shown != "right":
        raise Refused(POLICY, "Auth required but no token provided")
    if hold:
        await socket.settle(1)
    await socket.send({"type": "auth_success"})


async def heard(socket: WebSocket, kind: str, *, code: int = POLICY) -> dict[str, Any]:
    """Return the next message, which must be an object of type `kind`; raises Refused or PeerGone."""
    try:
        async with asyncio.timeout(WORDS_WITHIN_S):
            raw = await socket.receive()
    except TimeoutError:
        raise Refused(code, f"No '{kind}' message came within {WORDS_WITHIN_S:g} s") from None
    if raw is None:
        raise PeerGone
    try:
        message = loads(raw, depth_max=_DEPTH_MAX)
    except JsonRefused:
        message = None
    if not isinstance(message, dict) or message.get("type") != kind:
        raise Refused(code, f"Expected '{kind}' message")
    return message
