"""What Amazon SNS posts: its envelope, and which addresses are SNS's own."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

NOTIFICATION = "Notification"
SUBSCRIBE = "SubscriptionConfirmation"
UNSUBSCRIBE = "UnsubscribeConfirmation"
TYPES = (NOTIFICATION, SUBSCRIBE, UNSUBSCRIBE)
# A region is two letters or so, words, a number; the whole host name must match.
_HOST = re.compile(r"sns\.[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?")
_CERTIFICATE = re.compile(r"/[A-Za-z0-9._-]{1,200}\.pem")


def is_envelope(document: object) -> bool:
    """Tell whether a document is a message of SNS in its envelope."""
    return (
        isinstance(document, Mapping)
        and document.get("Type") in TYPES
        and isinstance(document.get("TopicArn"), str)
        and isinstance(document.get("Message"), str)
    )


def is_certificate_address(url: object) -> bool:
    """Tell whether a certificate of SNS can lie at this address."""
    parts = _own(url)
    return parts is not None and _CERTIFICATE.fullmatch(parts[0]) is not None and not parts[1]


def is_confirmation_address(url: object) -> bool:
    """Tell whether asking for this address confirms a subscription, and nothing else."""
    parts = _own(url)
    if parts is None or parts[0] not in {"", "/"}:
        return False
    try:
        fields = parse_qsl(parts[1], strict_parsing=True, max_num_fields=20)
    except ValueError:
        return False
    return [value for name, value in fields if name == "Action"] == ["ConfirmSubscription"]


def _own(url: object) -> tuple[str, str] | None:
    """Return path and query of an https address on a host of SNS: no user, no port, no fragment."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme != "https" or parts.fragment or _HOST.fullmatch(parts.netloc) is None:
        return None
    return parts.path, parts.query
