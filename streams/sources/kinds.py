"""The kinds of sources behind /hooks/NAME: one list for settings, `ensue sources` and `check-request`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.inbound import Delivery, Reply
from streams.sources.bearer import Bearer
from streams.sources.cloudevents.form import AccessToken, CloudEventsForm, registration
from streams.sources.http_source import Form, HttpSource, Scheme
from streams.sources.s3 import S3Form
from streams.sources.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How deliveries of a kind are judged and read.

    Attributes:
        form: Made per source, because a form may be configured.
        scheme: None for a kind that proves nothing.
        optional: Whether the scheme is left out when the source has nothing to compare with.
        provider: What the sender is called in labels and event names.
        handshake: Answers what comes before anybody can prove anything.

    """

    form: Callable[[], Form]
    scheme: Scheme | None
    optional: bool = False
    provider: str = ""
    handshake: Callable[[Delivery, Trust], Reply | None] | None = None


KINDS: Mapping[str, Kind] = {
    "cloudevents": Kind(
        form=CloudEventsForm,
        scheme=AccessToken(),
        optional=True,
        provider="cloudevents",
        handshake=registration,
    ),
    "s3": Kind(form=S3Form, scheme=Bearer(), optional=True, provider="aws"),
    "minio": Kind(form=S3Form, scheme=Bearer(), optional=True, provider="minio"),
}


def hook_source(kind: str, name: str, trust: Callable[[], Trust]) -> HttpSource:
    """Return the source of a kind; raises KeyError for an unknown one."""
    found = KINDS[kind]
    scheme = None if found.optional and not _anything(trust()) else found.scheme
    return HttpSource(name=name, form=found.form(), scheme=scheme, trust=trust, handshake=found.handshake)


def _anything(trust: Trust) -> bool:
    return bool(trust.secrets or trust.query_token or trust.jwks or trust.audience)
