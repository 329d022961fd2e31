"""Sample deliveries, signed as the provider would: what `ensue sources test` sends."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from streams.errors import BadInput
from streams.source_settings import HttpSourceSettings
from streams.sources.webhooks.hmac_settings import ID_HEADERS, TIMESTAMP_HEADERS

JSON = "application/json"
_BY_PROVIDER_ONLY = {
    "sns": "only Amazon can sign for SNS; publish a message to the topic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request to /hooks/NAME."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """What a sample is made of.

    Attributes:
        settings: Of the source.
        secret: The newest valid one; empty when the source has none.
        token: What the address must carry; empty for nothing.
        mark: A text that stands in the event, so that it can be found.
        now_s: Unix time.

    """

    settings: HttpSourceSettings
    secret: bytes
    token: str
    mark: str
    now_s: float

    @property
    def at(self) -> datetime:
        """Now, to the second."""
        return datetime.fromtimestamp(int(self.now_s), UTC)


def sample(maker: Maker) -> Sample:
    """Return a delivery of the source's kind; raises BadInput for what only the provider can make."""
    settings = maker.settings
    kind = settings.kind
    if kind in _BY_PROVIDER_ONLY:
        raise BadInput(f"kind {kind} cannot be tested from here: {_BY_PROVIDER_ONLY[kind]}")
    if settings.audience and kind in {"gcs", "pubsub", "azure", "eventgrid"}:
        raise BadInput(
            f"kind {kind} with an audience cannot be tested from here: only its provider has tokens"
        )
    body = json.dumps(_body(maker), separators=(",", ":")).encode()
    headers = {"content-type": JSON, **_SIGNERS.get(kind, _shown)(maker, body)}
    if kind == "cloudevents":
        headers["content-type"] = "application/cloudevents+json"
    return Sample(body=body, headers=headers, query={"token": maker.token} if maker.token else {})


def _anything(maker: Maker) -> dict[str, Any]:
    return {"type": "ensue.test", "id": maker.mark, "data": {"id": maker.mark}}


def _records(maker: Maker) -> dict[str, Any]:
    source = "minio:s3" if maker.settings.kind == "minio" else "aws:s3"
    item = {"key": f"{maker.mark}.txt", "size": 0, "eTag": "0" * 32, "sequencer": f"{int(maker.now_s):016X}"}
    record = {
        "eventVersion": "2.1",
        "eventSource": source,
        "eventTime": maker.at.isoformat(),
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": maker.settings.bucket or "ensue-test"}, "object": item},
    }
    return {"Records": [record]}


def _eventbridge(maker: Maker) -> dict[str, Any]:
    item = {"key": f"{maker.mark}.txt", "size": 0, "etag": "0" * 32, "sequencer": f"{int(maker.now_s):016X}"}
    detail = {"version": "0", "bucket": {"name": "ensue-test"}, "object": item, "reason": "PutObject"}
    return {
        "version": "0",
        "id": maker.mark,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "000000000000",
        "time": maker.at.isoformat().replace("+00:00", "Z"),
        "region": maker.settings.region or "us-east-1",
        "resources": ["arn:aws:s3:::ensue-test"],
        "detail": detail,
    }


def _pubsub(maker: Maker) -> dict[str, Any]:
    message: dict[str, Any] = {
        "messageId": maker.mark,
        "publishTime": maker.at.isoformat().replace("+00:00", "Z"),
        "data": base64.b64encode(json.dumps(_anything(maker)).encode()).decode(),
        "attributes": {},
    }
    if maker.settings.kind == "gcs":
        message["attributes"] = {
            "eventType": "OBJECT_FINALIZE",
            "bucketId": maker.settings.bucket or "ensue-test",
            "objectId": f"{maker.mark}.txt",
            "objectGeneration": str(int(maker.now_s * 1_000_000)),
            "eventTime": maker.at.isoformat().replace("+00:00", "Z"),
            "payloadFormat": "NONE",
        }
        message["data"] = ""
    return {"message": message, "subscription": "projects/ensue/subscriptions/test"}


def _blob(maker: Maker) -> list[dict[str, Any]]:
    return [
        {
            "id": maker.mark,
            "topic": "/subscriptions/0/resourceGroups/0/providers/Microsoft.Storage/storageAccounts/ensue",
            "subject": f"/blobServices/default/containers/test/blobs/{maker.mark}.txt",
            "eventType": "Microsoft.Storage.BlobCreated",
            "eventTime": maker.at.isoformat().replace("+00:00", "Z"),
            "dataVersion": "",
            "metadataVersion": "1",
            "data": {
                "api": "PutBlob",
                "eTag": "0x8D0000000000000",
                "contentLength": 0,
                "blobType": "BlockBlob",
                "url": f"https://ensue.blob.core.windows.net/test/{maker.mark}.txt",
                "sequencer": f"{int(maker.now_s):032X}",
            },
        }
    ]


def _cloud_event(maker: Maker) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": maker.mark,
        "source": "urn:ensue:test",
        "type": "ensue-test.sent",
        "time": maker.at.isoformat().replace("+00:00", "Z"),
        "data": {"mark": maker.mark},
    }


def _stripe_body(maker: Maker) -> dict[str, Any]:
    thing = {"id": maker.mark, "object": "customer"}
    return {
        "id": f"evt_{maker.mark}",
        "object": "event",
        "type": "customer.created",
        "created": int(maker.now_s),
        "livemode": False,
        "data": {"object": thing},
    }


def _slack_body(maker: Maker) -> dict[str, Any]:
    inner = {"type": "app_mention", "user": "U0", "channel": "C0", "text": maker.mark}
    return {
        "type": "event_callback",
        "team_id": "T0",
        "event_id": f"Ev{maker.mark}",
        "event_time": int(maker.now_s),
        "event": inner,
    }


def _github_body(maker: Maker) -> dict[str, Any]:
    return {"zen": maker.mark, "hook_id": 0, "repository": {"full_name": "ensue/test"}}


def _shown(maker: Maker, _: bytes) -> dict[str, str]:
    return {"authorization": f"Bearer {maker.secret.decode('latin-1')}"} if maker.secret else {}


def _basic(maker: Maker, _: bytes) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(maker.secret).decode()}"}


def _mac(secret: bytes, message: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(secret, message, getattr(hashlib, algorithm)).digest()


def _github(maker: Maker, body: bytes) -> dict[str, str]:
    return {
        "x-github-event": "ping",
        "x-github-delivery": maker.mark,
        "x-hub-signature-256": f"sha256={_mac(maker.secret, body).hex()}",
    }


def _stripe(maker: Maker, body: bytes) -> dict[str, str]:
    mac = _mac(maker.secret, b"%d.%b" % (maker.now_s, body)).hex()
    return {"stripe-signature": f"t={int(maker.now_s)},v1={mac}"}


def _slack(maker: Maker, body: bytes) -> dict[str, str]:
    mac = _mac(maker.secret, b"v0:%d:%b" % (maker.now_s, body)).hex()
    return {"x-slack-request-timestamp": str(int(maker.now_s)), "x-slack-signature": f"v0={mac}"}


def _shopify(maker: Maker, body: bytes) -> dict[str, str]:
    return {
        "x-shopify-topic": "orders/create",
        "x-shopify-shop-domain": "ensue-test.myshopify.com",
        "x-shopify-event-id": maker.mark,
        "x-shopify-webhook-id": maker.mark,
        "x-shopify-hmac-sha256": base64.b64encode(_mac(maker.secret, body)).decode(),
    }


def _standard(maker: Maker, body: bytes) -> dict[str, str]:
    if maker.secret.startswith(b"whpk_"):
        raise BadInput(
            "a source with a public key (whpk_) cannot be tested from here: its owner has the other half"
        )
    key = base64.b64decode(maker.secret.removeprefix(b"whsec_"))
    mac = _mac(key, b"%b.%d.%b" % (maker.mark.encode(), maker.now_s, body))
    return {
        "webhook-id": maker.mark,
        "webhook-timestamp": str(int(maker.now_s)),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def _hmac(maker: Maker, body: bytes) -> dict[str, str]:
    """Sign as the source's own settings say; defaults as in the scheme."""
    told = maker.settings.hmac or {}
    algorithm = told.get("algorithm", "sha256")
    unit = told.get("timestamp_unit", "s")
    times = {"s": str(int(maker.now_s)), "ms": str(int(maker.now_s * 1000)), "iso": maker.at.isoformat()}
    places = {"timestamp": times[unit].encode(), "id": maker.mark.encode(), "body": body}
    message = told.get("template", "{body}").encode()
    for place, value in places.items():
        if place != "body":
            message = message.replace(b"{%b}" % place.encode(), value)
    message = message.replace(b"{body}", body)
    mac = _mac(_key(maker.secret, told.get("secret_encoding", "text")), message, algorithm)
    encode = {"base64": base64.b64encode, "base64url": base64.urlsafe_b64encode}.get(
        told.get("encoding", "hex")
    )
    shown = (
        mac.hex() if encode is None else encode(mac).decode().rstrip("=" if "url" in told["encoding"] else "")
    )
    headers = {told.get("header", "X-Signature"): told.get("prefix", "") + shown}
    template = told.get("template", "")
    for place, usual in (("timestamp", TIMESTAMP_HEADERS), ("id", ID_HEADERS)):
        name = told.get(f"{place}_header") or (usual[0] if f"{{{place}}}" in template else "")
        if name:
            headers[name] = places[place].decode()
    return headers


def _key(secret: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return base64.b64decode(secret)
    return bytes.fromhex(secret.decode("ascii")) if encoding == "hex" else secret


_BODIES: Mapping[str, Callable[[Maker], Any]] = {
    "s3": _records,
    "minio": _records,
    "eventbridge": _eventbridge,
    "gcs": _pubsub,
    "pubsub": _pubsub,
    "azure": _blob,
    "eventgrid": _blob,
    "cloudevents": _cloud_event,
    "stripe": _stripe_body,
    "slack": _slack_body,
    "github": _github_body,
}


def _body(maker: Maker) -> Any:
    make: Callable[[Maker], Any] = _BODIES.get(maker.settings.kind, _anything)
    return make(maker)


_SIGNERS: Mapping[str, Callable[[Maker, bytes], dict[str, str]]] = {
    "basic": _basic,
    "github": _github,
    "stripe": _stripe,
    "slack": _slack,
    "shopify": _shopify,
    "standard-webhooks": _standard,
    "hmac": _hmac,
}
