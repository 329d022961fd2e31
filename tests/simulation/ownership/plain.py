"""The protection turned off: the same producer without a transactional id, so without a fence."""

from typing import Any

from streams.kafka.fenced import FencedProducer


class PlainProducer(FencedProducer):
    """Writes as well as the fenced one, but nobody can shut it out."""

    def _properties(self) -> dict[str, Any]:
        fenced = super()._properties()
        return {k: v for k, v in fenced.items() if not k.startswith("transaction")} | {
            "enable.idempotence": True
        }

    def _enter(self, producer: Any, timeout_s: float) -> None:
        """There is nothing to enter."""

    def _leave(self, producer: Any) -> None:
        """There is nothing to commit."""
