"""What a deployment brings: triggers as plain values, and the id under which it owns them."""

import json
from dataclasses import dataclass
from hashlib import blake2b

from schemas.identity import derived_id
from schemas.record import Trigger

DEPLOYED = "ensue.trigger.deployed"
REMOVED = "ensue.trigger.removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A trigger and the flow it starts. All JSON is text.

    Attributes:
        name: The trigger's name, its identity in the whole installation.
        version: Of definition and flow; see `version_of`.
        definition: Trigger JSON, the canonical form.
        flow: Name of the flow.
        flow_version: Hash of the flow's file.
        flow_definition: How to run it: name, file, parameters, timeout, retries, pool.

    """

    name: str
    version: str
    definition: str
    flow: str
    flow_version: str
    flow_definition: str

    def same_as(self, item: Trigger) -> bool:
        """Whether `item` already says all of this."""
        return (
            self.version == item.version
            and self.definition == item.definition
            and self.flow == item.flow
            and self.flow_version == item.flow_version
            and self.flow_definition == item.flow_definition
            and not item.removed
        )


def version_of(definition: str, flow: str) -> str:
    """Return 16 hex digits that follow from a Trigger JSON text and its flow, whatever the order of keys."""
    text = json.dumps([json.loads(definition), flow], sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=8).hexdigest()


def deployment_id(name: str) -> str:
    """Return the id of the deployment called `name`; the same name is the same owner anywhere."""
    return derived_id("deployment", name)
