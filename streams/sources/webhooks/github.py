"""GitHub: HMAC-SHA256 of the body in `X-Hub-Signature-256`; the SHA-1 header never counts."""

from collections.abc import Mapping
from typing import Any

from streams.inbound import Delivery, Keys, Outcome, Taken
from streams.sources.made_event import fingerprint, made_event, time_of
from streams.sources.trust import Trust
from streams.sources.webhooks.body import as_payload, member, parsed_or_wrapped, text_at
from streams.sources.webhooks.proof import lacks_secret, must_prove, needed, secrets_of

_PREFIX = "sha256="
# Where an event tells when it happened; what is not listed tells it nowhere reliably.
_TIMES: Mapping[str, tuple[str, ...]] = {
    "push": ("repository", "pushed_at"),
    "pull_request": ("pull_request", "updated_at"),
    "pull_request_review": ("review", "submitted_at"),
    "issues": ("issue", "updated_at"),
    "workflow_run": ("workflow_run", "updated_at"),
    "deployment": ("deployment", "created_at"),
    "deployment_status": ("deployment_status", "created_at"),
    "star": ("starred_at",),
}


class GitHub:
    """No time is signed: the delivery's id tells a redelivery, nothing tells an old one."""

    def verify(self, delivery: Delivery, trust: Trust, keys: Keys) -> None:
        """Compare the digest of the raw body, whatever its form."""
        del keys
        shown = needed(delivery.headers, "x-hub-signature-256")
        signatures = [shown.removeprefix(_PREFIX)] if shown.startswith(_PREFIX) else []
        must_prove(signatures, secrets_of(trust), delivery.body)

    def lacks(self, trust: Trust) -> str:
        """Say that a secret is missing."""
        return lacks_secret(trust)


class GitHubForm:
    """`github.EVENT` of a repository; `action` is a label."""

    def read(self, delivery: Delivery, source: str) -> Outcome:
        """Return the event; both content types of GitHub give the same."""
        body = self.content(delivery)
        name = delivery.headers.one("x-github-event") or "received"
        number = delivery.headers.one("x-github-delivery") or ""
        repository = text_at(body, "repository", "full_name")
        organization = text_at(body, "organization", "login")
        labels = {
            "provider": "github",
            "action": text_at(body, "action"),
            "repository": repository,
            "organization": organization,
            "sender": text_at(body, "sender", "login"),
            "ref": text_at(body, "ref"),
            "number": text_at(body, "number") or text_at(body, "issue", "number"),
            "hook": delivery.headers.one("x-github-hook-id") or "",
            "delivery": number,
        }
        return Taken(
            events=[
                made_event(
                    delivery,
                    source,
                    event=f"github.{name}",
                    resource_id=repository or organization or text_at(body, "enterprise", "slug"),
                    labels=labels,
                    payload=as_payload(body),
                    # Its header is not signed: taken off, the body itself tells a repetition.
                    identity=("github", number)
                    if number
                    else ("github-body", name, fingerprint(delivery.body)),
                    occurred=time_of(member(body, *_TIMES[name])) if name in _TIMES else None,
                )
            ]
        )

    def content(self, delivery: Delivery) -> Any:
        """Return the body as templates see it."""
        return parsed_or_wrapped(delivery)
