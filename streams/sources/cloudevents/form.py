"""The kind `cloudevents` behind /hooks/NAME."""

import hmac
from urllib.parse import unquote_to_bytes

from schemas.event import Event
from streams.errors import Poison
from streams.inbound import Delivery, Keys, Outcome, Reply, Taken, Unauthenticated
from streams.sources.bearer import Bearer
from streams.sources.cloudevents.attribute_types import Invalid
from streams.sources.cloudevents.handshake import handshake
from streams.sources.cloudevents.http_binding import events_of
from streams.sources.cloudevents.mapping import event_of
from streams.sources.json_body import DEPTH_MAX
from streams.sources.trust import Trust

EVENTS_MAX = 10_000  # read at one go; others wait for it
_ACCESS_TOKEN, _TOKEN = "access_token", "token"


class CloudEventsForm:
    """Events of every content mode; one that is invalid costs only itself."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the events; raises Poison when the body as a whole is unusable."""
        if delivery.method not in {"POST", "PUT"}:
            return Reply(status=405, headers=(("Allow", "POST, OPTIONS"),))
        count, reads = events_of(delivery, depth_max=DEPTH_MAX)
        if count > EVENTS_MAX:
            text = f"the batch holds {count} events, {EVENTS_MAX} are the most; send it in parts"
            raise Poison(text, reason="too_large")
        found: list[Event] = []
        unusable: list[str] = []
        for at, read in enumerate(reads):
            try:
                found.append(event_of(read(), at_s=delivery.at_s, source=source))
            except Invalid as invalid:
                unusable.append(f"event {at}: {invalid}")
        return Taken(events=found, unusable=unusable)


def registration(delivery: Delivery, trust: Trust) -> Reply | None:
    """Answer a sender that asks by OPTIONS whether it may send; it proves nothing yet (webhooks, 4)."""
    return handshake(delivery, trust.allowed_origins) if delivery.method == "OPTIONS" else None


class AccessToken:
    """A bearer token in the header, or as `?access_token=`: a target must take both (webhooks, 3).

    `?token=` counts too where the source has a token of its own for senders that can add no header.
    """

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Compare with every secret; raises Unauthenticated."""
        shown = [
            (name, unquote_to_bytes(value.replace("+", " ")))
            for name, _, value in (field.partition("=") for field in delivery.query.split("&"))
            if name == _ACCESS_TOKEN or (name == _TOKEN and trust.query_token)
        ]
        if not shown:
            Bearer().verify(delivery, trust, keys)
            return
        if len(shown) > 1 or delivery.headers.all("authorization"):
            raise Unauthenticated("more than one access token")
        (name, token) = shown[0]
        secrets = [(trust.query_token or "").encode()] if name == _TOKEN else trust.secrets
        known = [hmac.compare_digest(token, secret) for secret in secrets]
        if not token or not any(known):
            raise Unauthenticated("no valid access token")
