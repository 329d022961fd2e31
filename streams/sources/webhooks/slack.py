"""Slack: `v0=` HMAC-SHA256 of `v0:time:body`; events, slash commands, interactions and the URL challenge."""

from collections.abc import Mapping
from typing import Any

from streams.errors import Poison
from streams.inbound import Delivery, Keys, Outcome, Reply, Taken
from streams.sources.made_event import fingerprint, made_event, time_of
from streams.sources.trust import Trust
from streams.sources.webhooks.body import as_payload, member, parsed_or_wrapped, text_at
from streams.sources.webhooks.proof import fresh_s, lacks_secret, must_prove, needed, seconds_of, secrets_of

_TIME = "x-slack-request-timestamp"
_CHALLENGE_CHARS_MAX = 1024
# Slack's old way of proving itself, sent along still: it is a secret and no part of what happened.
_CREDENTIAL = "token"


class Slack:
    """One signature; Slack signs with one secret at a time, ours may be several."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Check the time both ways and the signature."""
        del keys
        shown = needed(delivery.headers, "x-slack-signature")
        time = needed(delivery.headers, _TIME)
        fresh_s(time, at_s=delivery.at_s, tolerance_s=trust.tolerance_s)
        signatures = [shown.removeprefix("v0=")] if shown.startswith("v0=") else []
        must_prove(signatures, secrets_of(trust), b"v0:%b:%b" % (time.encode(), delivery.body))

    def lacks(self, trust: Trust) -> str:
        """Say that a secret is missing."""
        return lacks_secret(trust)


class SlackForm:
    """`slack.TYPE` in a channel of a team."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the event, or the answer to the challenge by which Slack tries a new address."""
        body = self.content(delivery)
        if text_at(body, "type") == "url_verification":
            return _challenged(body)
        if text_at(body, "ssl_check") == "1":
            return Taken(status=200)
        event = member(body, "event")
        inner = event if isinstance(event, Mapping) else body
        number = text_at(body, "event_id")
        time = delivery.headers.one(_TIME) or ""
        team = text_at(body, "team_id") or text_at(body, "team", "id") or text_at(inner, "team")
        channel = _channel(body, inner)
        labels = {
            "provider": "slack",
            "team": team,
            "channel": channel,
            "user": text_at(inner, "user") or text_at(inner, "user", "id") or text_at(inner, "user_id"),
            "subtype": text_at(inner, "subtype"),
            "command": text_at(body, "command"),
            "app": text_at(body, "api_app_id"),
            "delivery": number,
        }
        identity = ("slack", number) if number else ("slack-body", time, fingerprint(delivery.body))
        made = made_event(
            delivery,
            source,
            event=f"slack.{_name(body, inner)}",
            resource_id="/".join(part for part in (team, channel) if part),
            labels=labels,
            payload=as_payload(body),
            identity=identity,
            occurred=time_of(member(body, "event_time")) or time_of(seconds_of(time)),
        )
        return Taken(events=[made], status=200)

    def content(self, delivery: Delivery) -> Any:
        """Return the body as templates see it: without Slack's verification token."""
        body = parsed_or_wrapped(delivery)
        if isinstance(body, Mapping) and _CREDENTIAL in body:
            return {name: value for name, value in body.items() if name != _CREDENTIAL}
        return body


def _challenged(body: Any) -> Reply:
    challenge = text_at(body, "challenge")
    if not challenge or len(challenge) > _CHALLENGE_CHARS_MAX:
        raise Poison("url_verification without a challenge", reason="unusable_record")
    plain = (("x-content-type-options", "nosniff"),)
    return Reply(body=challenge.encode(), content_type="text/plain; charset=utf-8", headers=plain)


def _name(body: Any, inner: Any) -> str:
    """Return the event's type; a slash command has none."""
    return text_at(inner, "type") or ("slash_command" if text_at(body, "command") else "received")


def _channel(body: Any, inner: Any) -> str:
    places = (("channel",), ("channel", "id"), ("item", "channel"), ("channel_id",))
    return next((found for where in (inner, body) for path in places if (found := text_at(where, *path))), "")
