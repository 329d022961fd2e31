"""Every kind of source behind a door, twice: asking for a proof, and taken in by everybody.

Whoever adds a kind to KINDS has it attacked by the tests that use this.
"""

import json
from collections.abc import Mapping
from typing import get_args

from streams.inbound import Delivery, Keys
from streams.source_settings import HttpSourceSettings
from streams.sources.http_source import HttpSource
from streams.sources.kinds import KINDS, hook_source
from streams.sources.trust import Trust

POSTED = {kind for kind in KINDS if kind in get_args(HttpSourceSettings.model_fields["kind"].annotation)}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TRUST = Trust(
    secrets=(SECRET.encode(), b"user:password"),
    topic_arns=frozenset({"arn:aws:sns:eu-west-1:123456789012:inbox"}),
    audience="https://ensue.example/hooks/x",
    email="push@project.iam.gserviceaccount.com",
    issuers=("https://accounts.google.com",),
    query_token="a-query-token-of-some-length",
    allowed_origins=("eventgrid.azure.net",),
    hmac={"header": "X-Signature", "algorithm": "sha256", "encoding": "hex", "template": "{body}"},
)


class Anybody:
    """A scheme that believes everybody: what its form reads is as an authentic sender's."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Believe."""


def locked(kind: str) -> HttpSource:
    """A source as it is configured, with a secret of every sort."""
    return hook_source(kind, "locked", lambda: TRUST)


def opened(kind: str) -> HttpSource:
    """A source of this kind whose sender is believed whatever it sends."""
    return HttpSource(name="opened", form=KINDS[kind].form(), scheme=Anybody(), trust=lambda: TRUST)


def doors(kind: str) -> Mapping[str, HttpSource]:
    """Both, by name; a kind that is fetched, never posted, has no lock."""
    found = {"opened": opened(kind)}
    return {"locked": locked(kind), **found} if kind in POSTED else found


def nested(depth: int, inner: bytes = b"1") -> bytes:
    """Return arrays within arrays."""
    return b"[" * depth + inner + b"]" * depth


EVIL = "https://evil.example/collect?a=1"
SNS_CERT = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SNS = {
    "Type": "Notification",
    "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
    "TopicArn": "arn:aws:sns:eu-west-1:123456789012:inbox",
    "Message": "{}",
    "Timestamp": "2026-11-22T14:16:32.270Z",
    "SignatureVersion": "1",
    "Signature": "EXAMPLE==",
    "SigningCertURL": SNS_CERT,
    "Token": "2336412f37",
    "SubscribeURL": EVIL,
    "UnsubscribeURL": EVIL,
}
GRID = {
    "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
    "topic": "/subscriptions/x",
    "subject": "",
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "eventTime": "2026-11-22T14:16:32Z",
    "metadataVersion": "1",
    "dataVersion": "1",
    "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": EVIL},
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": EVIL,
    "type": "google.cloud.storage.object.v1.finalized",
    "dataschema": EVIL,
    "data": {"bucket": "b", "name": "n", "selfLink": EVIL, "mediaLink": EVIL},
}
S3 = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "eventTime": "2026-11-22T14:16:32.270Z",
    "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "inbox"}, "object": {"key": "a.csv", "sequencer": "18EA"}},
}
PUBSUB = {
    "message": {
        "attributes": {"bucketId": "b", "objectId": "o", "eventType": "OBJECT_FINALIZE"},
        "data": "e30=",
        "messageId": "1",
        "publishTime": "2026-11-22T14:16:32Z",
    },
    "subscription": EVIL,
}
EVENTBRIDGE = {
    "version": "0",
    "id": "1",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "time": "2026-11-22T14:16:32Z",
    "region": "eu-west-1",
    "detail": {"version": "0", "bucket": {"name": "b"}, "object": {"key": "k", "sequencer": "00"}},
}
WEBHOOK = {
    "type": "url_verification",
    "challenge": "c",
    "token": "t",
    "url": EVIL,
    "id": "evt_1",
    "created": 1,
}
# A body of each form that some kind reads, as JSON values.
FORMS: Mapping[str, object] = {
    "sns notification": SNS,
    "sns confirmation": {**SNS, "Type": "SubscriptionConfirmation"},
    "sns removal": {**SNS, "Type": "UnsubscribeConfirmation"},
    "sns with a foreign certificate": {**SNS, "SigningCertURL": EVIL, "Type": "SubscriptionConfirmation"},
    "event grid handshake": [GRID],
    "event grid handshake without a list": GRID,
    "cloud event": CLOUD_EVENT,
    "cloud event of azure": {**CLOUD_EVENT, "type": "Microsoft.Storage.BlobCreated", "data": {"url": EVIL}},
    "s3 records": {"Records": [S3]},
    "s3 test": {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"},
    "pubsub push": PUBSUB,
    "eventbridge": EVENTBRIDGE,
    "webhook": WEBHOOK,
}
BODIES: Mapping[str, bytes] = {name: json.dumps(value).encode() for name, value in FORMS.items()}
