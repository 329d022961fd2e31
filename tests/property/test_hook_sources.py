"""Whatever bytes come to a source of any kind: only the contract's exceptions leave it, and events fit."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.codec import fixed_codec
from schemas.dead_letter import Reason
from schemas.event_record import to_record
from schemas.new_id import new_id
from streams.errors import BadInput, Poison
from streams.inbound import Call, Delivery, Headers, KeyMissing, Keys, Outcome, Reply, Taken, Unauthenticated
from streams.sources.http_source import HttpSource
from streams.sources.kinds import KINDS, hook_source
from streams.sources.mapping import Wording
from streams.sources.trust import Trust

pytestmark = pytest.mark.property
AT_S = 1_800_000_000
SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TRUST = Trust(
    secrets=(SECRET, b"user:password", b"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="),
    query_token="shown",
    audience="https://here",
    topic_arns=frozenset({"arn:aws:sns:eu-west-1:123456789012:inbox"}),
    allowed_origins=("*",),
    hmac={"header": "x-signature", "template": "{timestamp}.{body}", "timestamp_header": "x-timestamp"},
)
_NAMES = (
    "authorization content-type webhook-id webhook-timestamp webhook-signature svix-id svix-timestamp "
    "svix-signature x-hub-signature-256 x-github-event x-github-delivery x-github-hook-id stripe-signature "
    "x-slack-signature x-slack-request-timestamp x-shopify-hmac-sha256 x-shopify-topic x-shopify-shop-domain "
    "x-shopify-webhook-id x-shopify-triggered-at shopify-hmac-sha256 x-signature x-timestamp idempotency-key "
    "ce-specversion ce-id ce-source ce-type ce-time ce-subject ce-dataschema aeg-event-type "
    "x-amz-sns-message-type x-amz-sns-topic-arn x-amz-sns-message-id webhook-request-origin"
)
NAMES = _NAMES.split()
_CONTENT_TYPES = (
    "application/json application/x-www-form-urlencoded text/plain application/cloudevents+json "
    "application/cloudevents-batch+json application/octet-stream APPLICATION/JSON;charset=utf-8 x"
)
CONTENT_TYPES = _CONTENT_TYPES.split()
_MEMBERS = (
    "type id event action repository full_name data object created timestamp challenge token team team_id "
    "channel user item command event_id event_time payload related_object livemode Records s3 bucket key "
    "name eventTime eventName eventVersion Type Message MessageId TopicArn Signature SigningCertURL "
    "specversion source subject time detail detail-type message attributes topic pushed_at updated_at issue"
)
MEMBERS = _MEMBERS.split()

odd_texts = st.one_of(
    st.sampled_from(
        ("", " ", "nan", "-1", "0", "1e400", "9" * 400, "²", "é", "sha256=", "v0=", "v1,", "t=1,v1=")
    ),
    st.sampled_from(
        (str(AT_S), f"t={AT_S},v1={'0' * 64}", f"v0={'0' * 64}", "v1," * 50, "Bearer x", "Basic x")
    ),
    st.sampled_from(CONTENT_TYPES),
    st.text(st.characters(max_codepoint=255), max_size=40),
)
headers = st.lists(st.tuples(st.sampled_from(NAMES), odd_texts), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ("url_verification", "2.1", "1.0", "2026-11-01T10:00:00Z", "0001-01-01", "a\x00b", "ensue.x")
    ),
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6),
    max_leaves=12,
)
bodies = st.one_of(
    st.binary(max_size=60),
    documents.map(lambda value: json.dumps(value).encode()),
    documents.map(lambda value: b"payload=" + json.dumps(value).encode()),
    st.sampled_from((b"", b"{", b"[" * 100, b"\xff", b"payload=%FF", b"a=1&a=2", b'{"a":1,"a":2}', b"NaN")),
)


class Anybody:
    """A scheme that believes everybody: what its form reads is as an authentic sender's."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Believe."""


class NoKeys:
    """Nothing was fetched."""

    def get(self, url: str) -> bytes | None:
        """Nothing."""
        del url


def delivery_of(fields: list[tuple[str, str]], body: bytes, **more: Any) -> Delivery:
    """The delivery of headers and a body, now."""
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    return Delivery(headers=Headers(pairs), body=body, at_s=AT_S, **more)


def judged(source: HttpSource, delivery: Delivery) -> Outcome | None:
    """What the source makes of it, None for a refusal; anything but the contract's exceptions escapes."""
    try:
        return source.receive(delivery, NoKeys())
    except (Unauthenticated, KeyMissing):
        return None
    except Poison as poison:
        return must_have_a_reason(poison)


def must_have_a_reason(poison: Poison) -> None:
    """A dead letter's reason is one of the list."""
    assert Reason(poison.reason)


def must_fit(outcome: Outcome | None) -> None:
    """Every event can be written, and comes out as it went in."""
    if not isinstance(outcome, Taken):
        assert outcome is None or isinstance(outcome, Reply | Call)
        return
    for event in outcome.events:
        record = to_record(event if event.id else replace(event, id=new_id()))
        assert fixed_codec().decode(fixed_codec().encode(record), type(record)) == record
        assert event.event
        assert event.event.isprintable()
        assert not event.event.startswith("ensue.")
        assert event.resource_id == event.resource["resource.id"]
        assert all(isinstance(text, str) for text in event.resource.values())
    assert all(isinstance(text, str) for text in outcome.unusable)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(fields=headers, body=bodies, query=st.sampled_from(("", "token=shown", "token=%FF&&==", "a=1")))
def test_no_bytes_make_a_source_fail(
    kind: str, fields: list[tuple[str, str]], body: bytes, query: str
) -> None:
    """A door that asks for a proof refuses or takes; it never fails."""
    source = hook_source(kind, "door", lambda: TRUST)
    must_fit(judged(source, delivery_of(fields, body, query=query)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(fields=headers, body=bodies)
def test_no_authentic_bytes_make_a_form_fail(kind: str, fields: list[tuple[str, str]], body: bytes) -> None:
    """What a believed sender may write becomes events that fit, or a dead letter with a reason."""
    form = KINDS[kind].configured
    read = KINDS[kind].form() if form is None else form(TRUST)
    source = HttpSource(name="door", form=read, scheme=Anybody(), trust=lambda: TRUST)
    must_fit(judged(source, delivery_of(fields, body)))
    again = HttpSource(name="door", form=read, trust=lambda: TRUST)
    try:
        must_fit(again.read_again(delivery_of(fields, body)))
    except Poison as poison:
        must_have_a_reason(poison)


SIGNED: Mapping[str, Any] = {
    "github": lambda digest: {"x-hub-signature-256": f"sha256={digest(b'')}"},
    "stripe": lambda digest: {"stripe-signature": f"t={AT_S},v1={digest(b'%d.' % AT_S)}"},
    "slack": lambda digest: {
        "x-slack-request-timestamp": str(AT_S),
        "x-slack-signature": f"v0={digest(b'v0:%d:' % AT_S)}",
    },
    "hmac": lambda digest: {"x-timestamp": str(AT_S), "x-signature": digest(b"%d." % AT_S)},
}


@pytest.mark.parametrize("kind", SIGNED)
@settings(max_examples=60)
@given(body=bodies, other=st.binary(max_size=60))
@example(body=b"{}", other=b"")
def test_a_signature_is_good_for_its_own_body_only(kind: str, body: bytes, other: bytes) -> None:
    """The signed body is believed, every other one is not."""
    source = hook_source(kind, "door", lambda: TRUST)

    def digest(before: bytes) -> str:
        return hmac.digest(SECRET, before + body, "sha256").hex()

    fields = list(SIGNED[kind](digest).items())

    def believed(delivery: Delivery) -> bool:
        try:
            source.receive(delivery, NoKeys())
        except Unauthenticated:
            return False
        except Poison:
            return True
        return True

    assert believed(delivery_of(fields, body))
    assert believed(delivery_of(fields, other)) is (other == body)


WHOLE = '{"event": "{{ body.type }}", "resource": {"resource.id": "{{ body.id }}"}, "payload": {{ body }}}'
HALF = (
    '{"event": "a", "resource": "{{ body.data }}", "occurred": "{{ body.created }}", "id": "{{ body.id }}"}'
)
WORDINGS = st.builds(
    Wording,
    event=st.none()
    | st.sampled_from(("x.{{ body.type }}", "{{ body.type }}", "{{ headers['x-github-event'] }}")),
    resource=st.none()
    | st.sampled_from(("{{ body.id }}", "{{ body.data.object.id | default('x') }}", "{{ query.a }}")),
    mapping=st.none() | st.sampled_from(("{{ body }}", "from_cloud_event", WHOLE, HALF)),
)


@pytest.mark.parametrize("kind", ["none", "bearer", "s3", "cloudevents"])
@given(wording=WORDINGS, fields=headers, body=bodies)
def test_no_bytes_make_a_template_fail(
    kind: str, wording: Wording, fields: list[tuple[str, str]], body: bytes
) -> None:
    """A template meets what it was not written for: an event that fits, or a dead letter."""
    made = hook_source(kind, "door", Trust, wording)
    source = HttpSource(name="door", form=made.form, scheme=Anybody())
    must_fit(judged(source, delivery_of(fields, body)))


@given(
    st.dictionaries(st.sampled_from(("header", "algorithm", "template", "encoding", "prefix", "x")), scalars)
)
def test_no_settings_open_the_door(chosen: Mapping[str, Any]) -> None:
    """Settings of HMAC are refused with a sentence, or ask for a signature."""
    trust = Trust(secrets=(SECRET,), hmac=chosen)
    try:
        source = hook_source("hmac", "door", lambda: trust)
    except BadInput:
        return
    assert judged(source, delivery_of([("x-signature", "0" * 64)], b"{}")) is None
