"""A webhook of nobody in particular: `webhook.received`, the body as it is; settings say more."""

from collections.abc import Mapping
from datetime import datetime

from streams.inbound import Delivery, Outcome, Taken
from streams.sources.made_event import fingerprint, made_event
from streams.sources.trust import Trust
from streams.sources.webhooks.body import as_payload, parsed
from streams.sources.webhooks.generic_hmac import signed_identity, told_time
from streams.sources.webhooks.hmac_settings import HmacSettings, hmac_settings

_KEY = "idempotency-key"


class AnyWebhook:
    """The form of none, bearer and basic: who sends may say by `Idempotency-Key` what is a repetition."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the event."""
        key = delivery.headers.one(_KEY)
        return _taken(delivery, source, identity=("webhook", key) if key else ())


class HmacWebhook:
    """The form of kind `hmac`; what was signed tells a repetition before what was not."""

    def __init__(self, settings: HmacSettings) -> None:
        self._settings = settings

    @classmethod
    def of(cls, trust: Trust) -> "HmacWebhook":
        """Return the form of a source; raises BadInput for settings that cannot be."""
        return cls(hmac_settings(trust.hmac))

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the event."""
        number, time = signed_identity(self._settings, delivery.headers)
        key = None if number or time else delivery.headers.one(_KEY)
        identity: tuple[str, ...] = ()
        if number:
            identity = ("hmac", number)
        elif time:
            identity = ("hmac-body", time, fingerprint(delivery.body))
        elif key:
            identity = ("webhook", key)
        # A retry has another time and the same id, so that the id must not carry the time then.
        told = told_time(self._settings, time)
        return _taken(
            delivery,
            source,
            identity=identity,
            labels={"delivery": number or ""},
            occurred=None if number else told,
        )


def _taken(
    delivery: Delivery,
    source: str,
    *,
    identity: tuple[str, ...],
    labels: Mapping[str, str] | None = None,
    occurred: datetime | None = None,
) -> Taken:
    made = made_event(
        delivery,
        source,
        event="webhook.received",
        resource_id=source,
        labels={"provider": "webhook", **(labels or {})},
        payload=as_payload(parsed(delivery)),
        identity=identity,
        occurred=occurred,
    )
    return Taken(events=[made])
