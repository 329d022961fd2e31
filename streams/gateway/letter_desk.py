"""What a person does with a dead letter: edit, retry, drop. Each is an event; the letter never changes."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from schemas.dead_letter import Reason, Stage
from schemas.event import Event, from_micros
from schemas.identity import derived_id
from schemas.new_id import new_id
from streams.clock import Clock
from streams.errors import BadInput, Poison
from streams.gateway.intake import Intake
from streams.gateway.ports import Hooks, Row
from streams.inbound import Delivery, Headers, Taken
from streams.strict_json import JsonRefused, loads

RESOURCE = "ensue://dead-letter/"
_DEPTH_MAX = 64
EDIT_BYTES_MAX = 512 << 10  # as base64 it must fit an event
# Whether the same bytes at the same place could fare better the second time, told where they cannot.
_SOUND = {
    (Stage.ROUTER, Reason.UNKNOWN_SCHEMA),
    (Stage.SINK, Reason.UNKNOWN_SCHEMA),
    (Stage.SINK, Reason.REFUSED_BY_STORE),
}
_UNSOUND = {
    Stage.TRANSLATE: "the connector writes the row again when its snapshot is asked for anew",
    Stage.ROUTER: "these bytes fail again, or the event is known by its id: send it again with a new id",
    Stage.EVALUATE: "its place in the log decided what it meant; send the event again with a new id",
    Stage.RUN: "a request belongs to the partition that decided it; `ensue runs retry` starts a run again",
    Stage.SINK: "these bytes fail again; what they are must be mended where they were written",
}
_UNSOUND_AT_DOOR = {
    Reason.UNDECODABLE_NAME: "rename the file; the folder reports it by itself",
    Reason.TOO_LARGE: "the letter holds only its resource; raise limits.event_bytes and have it sent again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A dead letter as the store has it.

    Attributes:
        raw: The bytes as they came.
        edited: What a person made of them last; None: nobody did.
        at_s: When it came, Unix seconds.

    """

    id: str
    stage: str
    reason: str
    source: str
    raw: bytes
    headers: Mapping[str, str]
    at_s: float
    edited: bytes | None = None
    from_topic: str | None = None
    from_partition: int | None = None
    from_offset: int | None = None


class Letters(Protocol):
    """Where dead letters are found."""

    async def find(self, letter_id: str) -> Letter | None:
        """Return the letter; raises Transport while the store is away."""
        ...

    async def original(self, topic: str, partition: int, offset: int) -> Row:
        """Return the record as it lay there; raises BadInput when the log does not hold it any more."""
        ...


class LetterDesk:
    """Reads letters again with the gateway's own code; who asks was checked before."""

    def __init__(self, letters: Letters, hooks: Hooks, intake: Intake, clock: Clock) -> None:
        self._letters = letters
        self._hooks = hooks
        self._intake = intake
        self._clock = clock

    async def edit(self, letter_id: str, body: bytes, *, by: str) -> dict[str, Any]:
        """Keep `body` as what the next retry reads; the bytes as they came stay."""
        letter = await self._letter(letter_id)
        if letter.stage != Stage.DOOR:
            raise BadInput(f"dead letter {letter_id} is of stage {letter.stage}; only the door's are edited")
        if len(body) > EDIT_BYTES_MAX:
            raise BadInput(f"the new body has {len(body)} bytes; {EDIT_BYTES_MAX} are the most")
        return await self._note(letter, "edited", by, body_b64=base64.b64encode(body).decode())

    async def drop(self, letter_id: str, *, by: str) -> dict[str, Any]:
        """Mark the letter as one that nobody wants."""
        return await self._note(await self._letter(letter_id), "dropped", by)

    async def retry(self, letter_id: str, *, by: str) -> dict[str, Any]:
        """Read the letter again, as edited last; `outcome` is taken, partly, unusable or republished.

        The signature is not asked for again: it was checked when the letter came. Raises BadInput where a
        second try cannot be sound, Transport while Kafka or the store is away.
        """
        letter = await self._letter(letter_id)
        if letter.stage != Stage.DOOR:
            return await self._republish(letter, by)
        if letter.reason in _UNSOUND_AT_DOOR:
            raise BadInput(
                f"dead letter {letter_id} cannot be retried: {_UNSOUND_AT_DOOR[Reason(letter.reason)]}"
            )
        try:
            taken = self._read(letter)
        except Poison as poison:
            taken = Taken(unusable=[str(poison)])
        events = [
            event if event.id else _with_id(event, letter.id, at) for at, event in enumerate(taken.events)
        ]
        events, misfits = self._intake.sorted_out(events)
        taken = Taken(events=events, unusable=[*taken.unusable, *(text for _, text in misfits)])
        await self._intake.write(events)
        outcome = "taken" if not taken.unusable else "partly" if events else "unusable"
        return await self._note(
            letter,
            "retried",
            by,
            outcome=outcome,
            events=[event.id for event in events],
            problems=list(taken.unusable[:20]),
            edited=letter.edited is not None,
        )

    def _read(self, letter: Letter) -> Taken:
        source = self._hooks.get(letter.source)
        if source is None and letter.reason == Reason.WRONG_PAYLOAD:
            raw = letter.raw if letter.edited is None else letter.edited
            return Taken(events=[_posted(raw, letter.source)])
        if source is None and letter.from_topic is not None:
            place = f"{letter.from_topic}[{letter.from_partition}] at offset {letter.from_offset}"
            raise BadInput(
                f"dead letter {letter.id} lies in {place}; write it, mended, into that topic again"
            )
        if source is None:
            raise BadInput(
                f"dead letter {letter.id} came by {letter.source}, which is no source at /hooks now; "
                "add it again to retry"
            )
        outcome = source.read_again(
            Delivery(
                path=f"/hooks/{letter.source}",
                headers=Headers.of(letter.headers),
                body=letter.raw if letter.edited is None else letter.edited,
                at_s=letter.at_s,
            )
        )
        if not isinstance(outcome, Taken):
            raise BadInput(f"dead letter {letter.id} is a handshake; its sender must ask again")
        return outcome

    async def _republish(self, letter: Letter, by: str) -> dict[str, Any]:
        if letter.from_topic is None or letter.from_partition is None or letter.from_offset is None:
            raise BadInput(f"dead letter {letter.id} does not say where it lay")
        if (letter.stage, letter.reason) not in _SOUND:
            why = _UNSOUND.get(Stage(letter.stage), "its stage reads nothing again")
            raise BadInput(f"dead letter {letter.id} ({letter.stage}, {letter.reason}) is not retried: {why}")
        row = await self._letters.original(letter.from_topic, letter.from_partition, letter.from_offset)
        await self._intake.republish(letter.from_topic, row)
        return await self._note(letter, "retried", by, outcome="taken", republished_to=letter.from_topic)

    async def _letter(self, letter_id: str) -> Letter:
        letter = await self._letters.find(letter_id)
        if letter is None:
            raise NoSuchLetter(f"there is no dead letter {letter_id} in the store")
        return letter

    async def _note(self, letter: Letter, action: str, by: str, **more: Any) -> dict[str, Any]:
        """Write the audit event; nothing counts as done before it is acknowledged."""
        place = RESOURCE + letter.id
        labels = {
            "resource.id": place,
            "source": letter.source,
            "stage": letter.stage,
            "reason": letter.reason,
        }
        event = Event(
            id=new_id(),
            event=f"ensue.audit.dead_letter.{action}",
            resource_id=place,
            resource=labels,
            occurred=from_micros(self._clock.now_us()),
            received=from_micros(self._clock.now_us()),
            payload={"by": by, **more},
            source="gateway",
        )
        await self._intake.publish([event])
        told = {name: value for name, value in more.items() if name != "body_b64"}
        return {"dead_letter": letter.id, "action": action, "audit_event": event.id, **told}


class NoSuchLetter(BadInput):
    """No letter of this id is stored (yet)."""


def _with_id(event: Event, letter_id: str, at: int) -> Event:
    """Give an event without identity one that a second retry gives again."""
    number = derived_id("dead-letter-retry", letter_id, at)
    return replace(event, id=number, correlation_id=number)


def _posted(raw: bytes, source: str) -> Event:
    """Return the event that a source made and whose payload did not fit; raises Poison."""
    try:
        item = loads(raw, depth_max=_DEPTH_MAX)
        resource = {str(label): str(value) for label, value in item["resource"].items()}
        return Event(
            id=item["id"],
            event=item["event"],
            resource_id=resource["resource.id"],
            resource=resource,
            related=[dict(labels) for labels in item.get("related", ())],
            payload=dict(item["payload"]),
            occurred=datetime.fromisoformat(item["occurred"]),
            source=source,
        )
    except (JsonRefused, KeyError, TypeError, ValueError, AttributeError) as error:
        raise Poison(f"it is no event as POST /events takes it: {error}", reason="malformed_json") from None
