"""One candidate, decided to the end: verdicts, run requests with rendered parameters, the state to write.

The evaluate agent, the testing harness and a backtest all call this and nothing else.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from flows import template
from flows.core.evaluate import Firing, evaluate, failed, run_request
from flows.core.trigger import Trigger
from flows.errors import TemplateError
from schemas.event_record import to_event
from schemas.record import Candidate, EventRecord, RunRequest, State, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to write: verdicts and requests first, and only once they are acknowledged the state."""

    state: State | None = None
    verdicts: tuple[Verdict, ...] = ()
    requests: tuple[RunRequest, ...] = ()


def decide(
    trigger: Trigger,
    state: State | None,
    candidate: Candidate,
    *,
    decode: Callable[[bytes], EventRecord],
    log_time_us: int,
    partition: int,
    offset: int,
) -> Decision:
    """Return what `trigger` makes of a candidate.

    Parameters that cannot be rendered make the verdict `error`, and no run. `decode` turns the framed bytes
    of an event into its record; what it raises passes through. Raises ValueError for a candidate that is
    not one of this trigger or has no body.
    """
    if candidate.body is None:
        raise ValueError(f"candidate {candidate.id} (partition {partition}, offset {offset}) has no event")
    outcome = evaluate(
        trigger,
        state,
        candidate,
        decode(candidate.body),
        log_time_us=log_time_us,
        partition=partition,
        offset=offset,
    )
    verdicts = {verdict.firing_id or verdict.id: verdict for verdict in outcome.verdicts}
    requests = []
    for firing in outcome.firings:
        try:
            requests.append(run_request(firing, parameters(firing, decode)))
        except TemplateError as error:
            verdicts[firing.id] = failed(verdicts[firing.id], str(error))
    return Decision(state=outcome.state, verdicts=tuple(verdicts.values()), requests=tuple(requests))


def parameters(firing: Firing, decode: Callable[[bytes], EventRecord]) -> str:
    """Return the JSON text of a firing's rendered parameters; raises TemplateError."""
    trigger = firing.trigger
    if not trigger.parameters:
        return "{}"
    names = template.scope(
        events=[to_event(decode(body)) for body in firing.events],
        firing={
            "id": firing.id,
            "run_id": firing.run_id,
            "trigger": trigger.name,
            "group_key": firing.group_key,
            "count": len(firing.event_ids),
            "event_ids": list(firing.event_ids),
        },
        labels=firing.group,
    )
    rendered = template.render(trigger.parameters, names)
    return json.dumps(rendered, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
