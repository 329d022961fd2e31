"""The kinds of sources behind /hooks/NAME: one list for settings, `ensue sources` and `check-request`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from streams.inbound import Delivery, Reply
from streams.sources.aws.messages import BucketForm, EventBridgeForm
from streams.sources.aws.sns import SnsForm
from streams.sources.aws.sns_signature import SnsSignature
from streams.sources.aws.sqs_message import Fetched, SqsForm
from streams.sources.azure.event_grid import EventGridForm
from streams.sources.azure.sender import EventGridSender
from streams.sources.bearer import Bearer
from streams.sources.cloudevents.form import AccessToken, CloudEventsForm, registration
from streams.sources.google.pubsub import GcsForm, PubSubForm
from streams.sources.google.sender import GoogleSender
from streams.sources.http_source import Form, HttpSource, Scheme
from streams.sources.mapping import Wording, worded
from streams.sources.s3 import S3Form
from streams.sources.shown_secret import ShownSecret
from streams.sources.trust import Trust
from streams.sources.webhooks.any_webhook import AnyWebhook, HmacWebhook
from streams.sources.webhooks.basic import Basic
from streams.sources.webhooks.generic_hmac import GenericHmac
from streams.sources.webhooks.github import GitHub, GitHubForm
from streams.sources.webhooks.shopify import Shopify, ShopifyForm
from streams.sources.webhooks.slack import Slack, SlackForm
from streams.sources.webhooks.standard_webhooks import StandardWebhooks, StandardWebhooksForm
from streams.sources.webhooks.stripe import Stripe, StripeForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How deliveries of a kind are judged and read.

    Attributes:
        form: Made per source, because a form may be configured.
        scheme: None for a kind that proves nothing.
        optional: Whether the scheme is left out when the source has nothing to compare with.
        provider: What the sender is called in labels and event names.
        handshake: Answers what comes before anybody can prove anything.
        configured: Makes the form where the trust settings say more about it, instead of `form`.

    """

    form: Callable[[], Form]
    scheme: Scheme | None
    optional: bool = False
    provider: str = ""
    handshake: Callable[[Delivery, Trust], Reply | None] | None = None
    configured: Callable[[Trust], Form] | None = None


KINDS: Mapping[str, Kind] = {
    "cloudevents": Kind(
        form=CloudEventsForm,
        scheme=AccessToken(),
        optional=True,
        provider="cloudevents",
        handshake=registration,
    ),
    "s3": Kind(form=BucketForm, scheme=ShownSecret(), optional=True, provider="aws"),
    "minio": Kind(form=S3Form, scheme=ShownSecret(), optional=True, provider="minio"),
    "sns": Kind(form=SnsForm, scheme=SnsSignature(), provider="aws"),
    "eventbridge": Kind(form=EventBridgeForm, scheme=ShownSecret(), optional=True, provider="aws"),
    "sqs": Kind(form=SqsForm, scheme=Fetched(), provider="aws"),  # bodies; the queue itself is a watch
    "gcs": Kind(form=GcsForm, scheme=GoogleSender(), optional=True, provider="gcs"),
    "pubsub": Kind(form=PubSubForm, scheme=GoogleSender(), optional=True, provider="pubsub"),
    "azure": Kind(form=EventGridForm, scheme=EventGridSender(), provider="azure"),
    "eventgrid": Kind(form=EventGridForm, scheme=EventGridSender(), provider="azure"),
    "none": Kind(form=AnyWebhook, scheme=None, provider="webhook"),
    "bearer": Kind(form=AnyWebhook, scheme=Bearer(), provider="webhook"),
    "basic": Kind(form=AnyWebhook, scheme=Basic(), provider="webhook"),
    "hmac": Kind(form=AnyWebhook, scheme=GenericHmac(), provider="webhook", configured=HmacWebhook.of),
    "standard-webhooks": Kind(form=StandardWebhooksForm, scheme=StandardWebhooks(), provider="webhook"),
    "github": Kind(form=GitHubForm, scheme=GitHub(), provider="github"),
    "stripe": Kind(form=StripeForm, scheme=Stripe(), provider="stripe"),
    "slack": Kind(form=SlackForm, scheme=Slack(), provider="slack"),
    "shopify": Kind(form=ShopifyForm, scheme=Shopify(), provider="shopify"),
}


def hook_source(
    kind: str, name: str, trust: Callable[[], Trust], wording: Wording | None = None
) -> HttpSource:
    """Return the source of a kind; raises KeyError for an unknown one.

    Raises BadInput for trust settings or templates (`wording`) that cannot be.
    """
    found = KINDS[kind]
    now = trust()
    scheme = None if found.optional and not _anything(now) else found.scheme
    form = found.form() if found.configured is None else found.configured(now)
    if wording is not None:
        form = worded(form, wording, cloud_events=KINDS["cloudevents"].form)
    return HttpSource(name=name, form=form, scheme=scheme, trust=trust, handshake=found.handshake)


def lacking(kind: str, trust: Trust) -> str:
    """Return what a source of this kind lacks to let anybody in, as a sentence; empty when nothing."""
    scheme = KINDS[kind].scheme
    return scheme.lacks(trust) if isinstance(scheme, _Demanding) else ""


@runtime_checkable
class _Demanding(Protocol):
    """A scheme that can say what is missing."""

    def lacks(self, trust: Trust) -> str: ...


def _anything(trust: Trust) -> bool:
    return bool(
        trust.secrets
        or trust.query_token
        or trust.jwks is not None
        or trust.audience
        or trust.email
        or trust.issuers
    )
