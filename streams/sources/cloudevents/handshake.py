"""Abuse protection (HTTP webhooks v1.0.2, section 4): a sender asks by OPTIONS whether it may send.

The address in WebHook-Request-Callback is never called: who may send is settled by a setting, at once.
"""

import json
import re
from collections.abc import Collection

from streams.inbound import Delivery, Doubled, Reply

ORIGIN = "webhook-request-origin"
_RATE = "webhook-request-rate"
_ALLOW = ("Allow", "POST, OPTIONS")
_DNS_NAME = re.compile(r"[A-Za-z0-9_*](?:[A-Za-z0-9._*-]{0,251}[A-Za-z0-9_*.])?(?::[0-9]{1,5})?", re.ASCII)
_POSITIVE = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


def handshake(delivery: Delivery, origins: Collection[str]) -> Reply:
    """Return the permission, or a refusal that carries none of its headers.

    Args:
        delivery: An OPTIONS request.
        origins: DNS names that may send, `*` for any; without one OPTIONS is answered as if unknown.

    """
    if not origins:
        return _refused(405, "No sender may register here; name it in the setting of allowed origins.")
    try:
        origin, rate = delivery.headers.one(ORIGIN), delivery.headers.one(_RATE)
    except Doubled as doubled:
        return _refused(400, f"The header {doubled} stands more than once.")
    if origin is None or not _DNS_NAME.fullmatch(origin.strip()):
        return _refused(400, "WebHook-Request-Origin must be the DNS name of the sending system.")
    if rate is not None and not _POSITIVE.fullmatch(rate.strip()):
        return _refused(400, "WebHook-Request-Rate must be a whole number of requests per minute, 1 or more.")
    asked = origin.strip()
    if "*" not in origins and asked.lower() not in {known.lower() for known in origins}:
        return _refused(403, "This origin may not send here; name it in the setting of allowed origins.")
    granted = (
        ("WebHook-Allowed-Origin", asked),
        ("WebHook-Allowed-Rate", "*" if rate is None else rate.strip()),
        _ALLOW,
    )
    return Reply(status=200, headers=granted)


def _refused(status: int, detail: str) -> Reply:
    body = {"type": "urn:ensue:handshake", "title": "Handshake refused", "status": status, "detail": detail}
    return Reply(
        status=status,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers=(("Allow", "POST"),),
    )
