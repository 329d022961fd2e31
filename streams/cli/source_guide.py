"""What a person configures at the provider, kind by kind, and whose the secret is."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Secret(StrEnum):
    """Where a kind's secret comes from."""

    OURS = "ours"  # we draw it, the provider is told
    THEIRS = "theirs"  # the provider draws it, we are told
    ADDRESS = "address"  # `?token=` in the URL, for providers that can add no header
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """Attributes: `say` is what to do at the provider; it may name {url} and {secret}."""

    secret: Secret
    say: str


_ADDRESS = Guide(secret=Secret.ADDRESS, say="address: {url}?token={secret}")
_SHOWN = "address: {url}\nheader: Authorization: Bearer {secret}"
_GUIDES: Mapping[str, Guide] = {
    "none": Guide(secret=Secret.NONE, say="address: {url}\nheader: Content-Type: application/json"),
    "s3": Guide(secret=Secret.OURS, say=_SHOWN),
    "minio": Guide(
        secret=Secret.OURS,
        say='mc admin config set ALIAS notify_webhook:ensue endpoint="{url}" auth_token="Bearer {secret}"',
    ),
    "sns": Guide(
        secret=Secret.NONE,
        say="subscribe {url} to the topic (HTTPS, raw delivery off); the gateway confirms by itself for\n"
        "topics that topic_arns lists",
    ),
    "eventbridge": Guide(
        secret=Secret.OURS,
        say="API destination: {url}, POST\nconnection: API key, name Authorization, value Bearer {secret}",
    ),
    "gcs": _ADDRESS,
    "pubsub": _ADDRESS,
    "azure": _ADDRESS,
    "eventgrid": _ADDRESS,
    "standard-webhooks": Guide(secret=Secret.OURS, say="address: {url}\nsigning secret: {secret}"),
    "github": Guide(
        secret=Secret.OURS,
        say="Settings → Webhooks → Add webhook\npayload URL: {url}\ncontent type: application/json\n"
        "secret: {secret}",
    ),
    "stripe": Guide(secret=Secret.THEIRS, say="Developers → Webhooks → Add endpoint\naddress: {url}"),
    "slack": Guide(secret=Secret.THEIRS, say="Event Subscriptions → Request URL: {url}"),
    "shopify": Guide(secret=Secret.THEIRS, say="Settings → Notifications → Webhooks\naddress: {url}"),
    "hmac": Guide(secret=Secret.OURS, say="address: {url}\nsigning secret: {secret}"),
    "bearer": Guide(secret=Secret.OURS, say=_SHOWN),
    "basic": Guide(secret=Secret.OURS, say="address: {url}\nuser and password: {secret}"),
    "cloudevents": Guide(secret=Secret.OURS, say=_SHOWN),
}
_WHERE_THEIRS_IS = {
    "stripe": "the endpoint's page at Stripe shows it as `Signing secret`, whsec_…",
    "slack": "the app's page at Slack shows it under Basic Information as `Signing Secret`",
    "shopify": "Shopify shows it below the list of webhooks; an app's is its client secret",
}
_OIDC = "address: {url}\nauthentication: enabled, with the audience {audience}"


def guide_of(kind: str, fields: Mapping[str, Any]) -> Guide | None:
    """Return what to configure; None for a kind that nobody sends to us."""
    guide = _GUIDES.get(kind)
    if guide is _ADDRESS and fields.get("audience"):
        return Guide(secret=Secret.NONE, say=_OIDC.replace("{audience}", str(fields["audience"])))
    return guide


def where_theirs_is(kind: str) -> str:
    """Return where the provider shows the secret that it drew."""
    return _WHERE_THEIRS_IS[kind]


def fresh_secret(kind: str) -> bytes:
    """Return a random secret of 32 bytes in the form that the kind wants."""
    if kind == "standard-webhooks":
        return b"whsec_" + base64.b64encode(secrets.token_bytes(32))
    text = secrets.token_urlsafe(32).encode()
    return b"ensue:" + text if kind == "basic" else text
