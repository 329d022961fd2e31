"""Templates of a source: names, resources, whole events, and what a sender cannot do through them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from schemas.event import Event
from streams.errors import BadInput, Poison
from streams.inbound import Delivery, Headers, Reply, Taken
from streams.sources.bearer import Bearer
from streams.sources.kinds import hook_source
from streams.sources.mapping import Wording
from streams.sources.trust import Trust
from tests.webhook_case import AT_S, mac

pytestmark = pytest.mark.unit
JSON = {"content-type": "application/json"}
ORDER = {"type": "paid", "order": {"id": 7, "total": 1.5}, "note": '"}, "event": "forged", {"x": "'}


class Nobody:
    """No keys."""

    def get(self, url: str) -> bytes | None:
        """Nothing was fetched."""
        del url


def received(
    wording: Wording,
    body: object = ORDER,
    headers: Mapping[str, str] | None = None,
    *,
    kind: str = "none",
    query: str = "",
    trust: Trust | None = None,
) -> Any:
    """What a source of a wording makes of a delivery."""
    believed = trust or Trust()
    source = hook_source(kind, "shop", lambda: believed, wording)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    delivery = Delivery(headers=Headers.of({**JSON, **(headers or {})}), body=raw, at_s=AT_S, query=query)
    return source.receive(delivery, Nobody())


def event_of(wording: Wording, *args: Any, **more: Any) -> Event:
    """The one event."""
    taken = received(wording, *args, **more)
    assert isinstance(taken, Taken)
    (event,) = taken.events
    return event


def test_name_and_resource_come_from_templates() -> None:
    """`event` and `resource` see the body, headers in any case, the query, the method, the kind's event."""
    wording = Wording(
        event="shop.{{ body.type }}.{{ headers['X-Version'] }}",
        resource="order/{{ body.order.id }}/{{ query.region }}/{{ method }}/{{ event.event }}",
    )
    event = event_of(wording, headers={"x-version": "v2"}, query="region=eu%20west")
    assert event.event == "shop.paid.v2"
    assert event.resource_id == "order/7/eu west/POST/webhook.received"
    assert event.resource == {"resource.id": event.resource_id, "provider": "webhook"}
    assert event.payload == ORDER


def test_a_whole_event_comes_from_a_mapping() -> None:
    """Prefect's form of a template: JSON with templates, quoted or not, `tojson` included."""
    mapping = """{
        "id": "{{ body.order.id }}",
        "event": "shop.{{ body.type }}",
        "resource": {"prefect.resource.id": "order.{{ body.order.id }}", "total": "{{ body.order.total }}"},
        "related": [{"prefect.resource.id": "shop", "prefect.resource.role": "shop"}],
        "occurred": "2026-11-01T10:00:00Z",
        "payload": {"all": {{ body | tojson }}, "n": {{ body.order.id }}}
    }"""
    event = event_of(Wording(mapping=mapping))
    assert (event.event, event.resource_id) == ("shop.paid", "order.7")
    assert event.resource == {"resource.id": "order.7", "prefect.resource.id": "order.7", "total": "1.5"}
    assert list(event.related) == [{"prefect.resource.id": "shop", "prefect.resource.role": "shop"}]
    assert event.occurred.isoformat() == "2026-11-01T10:00:00+00:00"
    assert event.payload == {"all": ORDER, "n": 7}
    assert event.id == event_of(Wording(mapping=mapping), {**ORDER, "note": ""}).id
    assert event.id != event_of(Wording(mapping=mapping), {**ORDER, "order": {"id": 8, "total": 1}}).id


def test_a_sender_writes_no_structure_into_a_mapping() -> None:
    """A text with quotes and braces stays a text: the mapping is read as JSON before it is rendered."""
    mapping = '{"event": "shop.paid", "resource": {"resource.id": "{{ body.note }}"}}'
    event = event_of(Wording(mapping=mapping))
    assert (event.event, event.resource_id) == ("shop.paid", ORDER["note"])
    again = event_of(Wording(event="{{ body.type }}"), {"type": "{{ headers }}"})
    assert again.event == "{{ headers }}"


def test_a_body_that_is_an_event_passes_through() -> None:
    """`{{ body }}` takes the sender's event, with an id that is its own within the source."""
    body = {"event": "a.b", "resource": {"resource.id": "x"}, "id": "1"}
    for mapping in ("{{ body }}", "{{ body | tojson }}"):
        event = event_of(Wording(mapping=mapping), body)
        assert (event.event, event.resource_id, event.payload) == ("a.b", "x", body)
    assert event.id[14] == "8"


def test_the_identity_of_the_sender_stays() -> None:
    """A mapping without `id` keeps the id that follows from the provider's delivery."""
    body = json.dumps({"a": 1}).encode()
    headers = {"x-hub-signature-256": "sha256=" + mac(b"s", body).hex(), "x-github-delivery": "d1"}
    trust = Trust(secrets=(b"s",))
    mapping = Wording(mapping='{"event": "x", "resource": {"resource.id": "y"}}')
    plain, mapped = (
        event_of(wording, body, headers, kind="github", trust=trust) for wording in (Wording(), mapping)
    )
    assert plain.id == mapped.id


def test_one_source_cannot_take_the_ids_of_another() -> None:
    """The same delivery id at two sources is two events: who knows one secret holds nothing else back."""
    delivery = Delivery(headers=Headers.of({**JSON, "idempotency-key": "a"}), body=b"{}", at_s=AT_S)
    ids = set()
    for name in ("mine", "yours", "mine"):
        taken = hook_source("none", name, Trust).receive(delivery, Nobody())
        assert isinstance(taken, Taken)
        ids.add(taken.events[0].id)
    assert len(ids) == 2


def test_no_credential_reaches_a_template() -> None:
    """Authorization, cookies, signatures and tokens in headers, query and Slack's body are not there."""
    names = (
        "authorization",
        "cookie",
        "x-hub-signature-256",
        "x-api-key",
        "x-shopify-hmac-sha256",
        "x-my-token",
    )
    headers = dict.fromkeys(names, "s3cret") | {"x-plain": "1"}
    payload = '{"h": "{{ headers }}", "q": "{{ query }}"}'
    mapping = f'{{"event": "a", "resource": {{"resource.id": "b"}}, "payload": {payload}}}'
    event = event_of(Wording(mapping=mapping), headers=headers, query="token=s3cret&code=s3cret&a=1")
    assert event.payload == {"h": {"content-type": "application/json", "x-plain": "1"}, "q": {"a": "1"}}
    body = b'{"type": "x", "token": "s3cret"}'
    signed = {
        "x-slack-request-timestamp": str(AT_S),
        "x-slack-signature": "v0=" + mac(b"s", b"v0:%d:%b" % (AT_S, body)).hex(),
    }
    slack = event_of(
        Wording(mapping='{"event": "a", "resource": {"resource.id": "b"}, "payload": "{{ body }}"}'),
        body,
        signed,
        kind="slack",
        trust=Trust(secrets=(b"s",)),
    )
    assert slack.payload == {"type": "x"}


def test_the_body_is_what_lies_in_githubs_form() -> None:
    """Templates see the same body, whichever content type GitHub was told to send."""
    body = b"payload=%7B%22action%22%3A%22opened%22%7D"
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-hub-signature-256": "sha256=" + mac(b"s", body).hex(),
    }
    event = event_of(
        Wording(event="gh.{{ body.action }}"), body, headers, kind="github", trust=Trust(secrets=(b"s",))
    )
    assert event.event == "gh.opened"


def test_from_cloud_event_reads_the_body_as_one() -> None:
    """Any scheme may carry CloudEvents; their type, source and subject are the event's own words."""
    cloud = {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "type": "com.x",
        "subject": "y",
        "data": {"a": 1},
    }
    headers = {"content-type": "application/cloudevents+json", "authorization": "Bearer t"}
    event = event_of(
        Wording(mapping="from_cloud_event"), cloud, headers, kind="bearer", trust=Trust(secrets=(b"t",))
    )
    assert event.event == "com.x"
    renamed = event_of(
        Wording(mapping="from_cloud_event", event="mine.{{ event.event }}"),
        cloud,
        headers,
        kind="bearer",
        trust=Trust(secrets=(b"t",)),
    )
    assert (renamed.event, renamed.id) == ("mine.com.x", event.id)


@pytest.mark.parametrize(
    ("wording", "said"),
    [
        (Wording(event="{{ secret }}"), "only body, event, headers, method and query"),
        (Wording(event="{{ body.__class__() }}"), "Call"),
        (Wording(event="{% for x in body %}{% endfor %}"), "For"),
        (Wording(resource="{{ body"), "not a template"),
        (Wording(mapping="{"), "not JSON"),
        (Wording(mapping="[]"), "must be an object"),
        (Wording(mapping='{"event": "x"}'), "needs event and resource"),
        (Wording(mapping='{"event": "x", "resource": {}, "evnet": 1}'), "evnet"),
        (Wording(mapping='{"event": "{{ lookup }}", "resource": {}}'), "lookup"),
        (Wording(mapping="[" * 100_000), "not JSON"),
        (Wording(mapping='"'), "not JSON"),
    ],
)
def test_a_template_that_cannot_be_is_refused_at_the_start(wording: Wording, said: str) -> None:
    """What nobody could ever render is a sentence when the source is made."""
    with pytest.raises(BadInput, match=said):
        received(wording)


@pytest.mark.parametrize(
    ("wording", "body"),
    [
        (Wording(event="{{ body.missing }}"), ORDER),
        (Wording(event="{{ body.order }}"), ORDER),
        (Wording(event="{{ body.type }}"), {"type": ""}),
        (Wording(event="{{ body.type }}"), {"type": None}),
        (Wording(event="{{ body.type }}"), {"type": "a\nb"}),
        (Wording(event="{{ body.type }}"), {"type": "x" * 1025}),
        (Wording(event="{{ body.type }}"), {"type": "ensue.run.failed"}),
        (Wording(event="{{ body.type }}"), [1]),
        (Wording(event="{{ headers['authorization'] }}"), ORDER),
        (Wording(resource="{{ body.id }}"), {"id": "x" * 8193}),
        (Wording(resource="{{ body.id }}"), {"id": [1]}),
        (Wording(mapping="{{ body }}"), [1]),
        (Wording(mapping="{{ body }}"), {"event": "x"}),
        (Wording(mapping="{{ body }}"), {"event": "ensue.x", "resource": {"resource.id": "a"}}),
        (Wording(mapping="{{ body }}"), {"event": {}, "resource": {"resource.id": "a"}}),
        (Wording(mapping="{{ body }}"), {"event": "x", "resource": {}}),
        (
            Wording(mapping="{{ body }}"),
            {"event": "x", "resource": {"resource.id": "a", "prefect.resource.id": "b"}},
        ),
        (Wording(mapping="{{ body }}"), {"event": "x", "resource": {"resource.id": "a"}, "other": 1}),
        (Wording(mapping="{{ body }}"), {"event": "x", "resource": {"resource.id": "a"}, "id": []}),
        (Wording(mapping="{{ body }}"), {"event": "x", "resource": {"resource.id": "a"}, "occurred": "soon"}),
        (Wording(mapping="{{ body }}"), {"event": "x", "resource": {"resource.id": "a"}, "related": {}}),
        (Wording(mapping="{{ body }}"), {"event": "x", "resource": {"resource.id": "a"}, "related": [{}]}),
        (
            Wording(mapping="{{ body }}"),
            {"event": "x", "resource": {"resource.id": "a"}, "related": [{"resource.id": "x"}]},
        ),
        (
            Wording(mapping="{{ body }}"),
            {
                "event": "x",
                "resource": {"resource.id": "a"},
                "related": [{"resource.id": "x", "resource.role": "y"}] * 101,
            },
        ),
        (Wording(mapping="{{ body }}"), {"event": "x", "resource": dict.fromkeys(map(str, range(501)), "a")}),
    ],
)
def test_a_delivery_that_a_template_cannot_read_is_poison(wording: Wording, body: object) -> None:
    """What is missing, of another type, too long or reserved becomes a dead letter with its reason."""
    with pytest.raises(Poison) as raised:
        received(wording, body)
    assert raised.value.reason == "unusable_record"


def test_what_is_no_event_is_left_alone() -> None:
    """A challenge is answered as it is, whatever the templates say."""
    body = b'{"type": "url_verification", "challenge": "abc"}'
    signed = {
        "x-slack-request-timestamp": str(AT_S),
        "x-slack-signature": "v0=" + mac(b"s", b"v0:%d:%b" % (AT_S, body)).hex(),
    }
    answer = received(
        Wording(event="{{ body.missing }}"), body, signed, kind="slack", trust=Trust(secrets=(b"s",))
    )
    assert isinstance(answer, Reply)
    assert answer.body == b"abc"
    assert Bearer().lacks(Trust()) != ""
