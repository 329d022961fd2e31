"""`ensue events`, `ensue runs`, `ensue verdicts`: lists from the store, live tails from Kafka."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.core.lifecycle import RUN_STATES
from streams.cli.context import load_settings, need
from streams.cli.options import (
    DataOption,
    FollowOption,
    JsonOption,
    LimitOption,
    SinceOption,
    UntilOption,
    parse_time,
)
from streams.cli.output import print_ndjson, show
from streams.errors import BadInput

EventOption = Annotated[str, typer.Option("--event", help="Event name, * and ? as wildcards.")]
ResourceOption = Annotated[str, typer.Option("--resource", help="Resource id, * and ? as wildcards.")]
FlowOption = Annotated[str, typer.Option("--flow", help="Flow name.")]
TriggerOption = Annotated[str, typer.Option("--trigger", help="Trigger name.")]
StateOption = Annotated[str, typer.Option("--state", help="State of the run, or the verdict.")]

VERDICTS = (
    *("fired", "waiting", "debounced", "batched", "limited", "throttled", "queued"),
    *("dropped", "duplicate", "late", "expired", "cancelled", "paused", "error"),
)
EVENT_COLUMNS = ("occurred", "event", "resource_id", "source", "id")
RUN_COLUMNS = ("requested", "flow", "state", "trigger", "attempt", "id")
VERDICT_COLUMNS = ("at", "trigger", "verdict", "event_id", "group_key", "text")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("events")(events)
    app.command("runs")(runs)
    app.command("verdicts")(verdicts)


def events(
    event: EventOption = "",
    resource: ResourceOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    follow: FollowOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List what happened, newest first.

    \b
    ensue events --event 'storage.*' --since 2h
    ensue events --resource 's3://landing/*' --json
    ensue events --follow
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    names: dict[str, Any] = {"event": event, "resource": resource}
    shown: dict[str, Any] = {"follow": follow, "as_json": as_json, "data": data}
    _list("events", EVENT_COLUMNS, **shown, **names, since=since, until=until, limit=limit)


def runs(
    flow: FlowOption = "",
    trigger: TriggerOption = "",
    state: StateOption = "",
    event: EventOption = "",
    resource: ResourceOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    follow: FollowOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List what ran, newest first, each in its latest state.

    \b
    ensue runs --state failed --since 1d
    ensue runs --flow process_new_file --json
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    _known(state, RUN_STATES, "state of a run")
    if follow and (event or resource):
        raise BadInput("--follow of runs knows --flow, --trigger and --state, not --event and --resource")
    names: dict[str, Any] = {
        "flow": flow,
        "trigger": trigger,
        "state": state,
        "event": event,
        "resource": resource,
    }
    shown: dict[str, Any] = {"follow": follow, "as_json": as_json, "data": data}
    _list("runs", RUN_COLUMNS, **shown, **names, since=since, until=until, limit=limit)


def verdicts(
    trigger: TriggerOption = "",
    state: StateOption = "",
    event: EventOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    follow: FollowOption = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """List what triggers made of events, with the reason, newest first.

    \b
    ensue verdicts --trigger process_new_file --since 1h
    ensue verdicts --state waiting --json
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    _known(state, VERDICTS, "verdict")
    if follow and event:
        raise BadInput("--follow of verdicts knows --trigger and --state, not --event")
    names: dict[str, Any] = {"trigger": trigger, "state": state, "event": event}
    shown: dict[str, Any] = {"follow": follow, "as_json": as_json, "data": data}
    _list("verdicts", VERDICT_COLUMNS, **shown, **names, since=since, until=until, limit=limit)


def _known(state: str, states: Collection[str], what: str) -> None:
    if state and state not in states:
        raise BadInput(f"no {what} is called {state!r}; there are {', '.join(sorted(states))}")


def _list(
    what: str, columns: tuple[str, ...], *, follow: bool, as_json: bool, data: Path | None, **wanted: Any
) -> None:
    # Late, so that `ensue --help` loads no client.
    from streams.cli.tail import tail
    from streams.store.queries import lists
    from streams.store.queries.reader import StoreReader

    query = {"events": lists.list_events, "runs": lists.list_runs, "verdicts": lists.list_verdicts}[what]
    since, until = parse_time(wanted.pop("since")), parse_time(wanted.pop("until"))
    chosen = lists.Filter(since=since, until=until, **wanted)
    settings = load_settings(data)
    need(settings.clickhouse.url, "store", "ENSUE_CLICKHOUSE__URL")
    store = StoreReader(settings.clickhouse)
    try:
        if follow:
            # The tail begins before the list is asked for, so that nothing falls between the two.
            with tail(settings, what, chosen) as live:
                rows = query(store, chosen)
                print_ndjson(reversed(rows))
                known = {(row["id"], row.get("state")) for row in rows}
                print_ndjson(row for row in live if (row["id"], row.get("state")) not in known)
            return
        rows = query(store, chosen)
        for row in rows:
            reason = row.get("reason")
            row.update({"text": reason.get("text", "")} if isinstance(reason, dict) else {})
        show(rows, columns, as_json=as_json, what=what)
    finally:
        store.close()
