"""`ensue events`, `ensue runs`, `ensue verdicts`: lists from the store, live tails from Kafka."""

from typing import Annotated, Any

import typer

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

EventOption = Annotated[str, typer.Option("--event", help="Event name, * and ? as wildcards.")]
ResourceOption = Annotated[str, typer.Option("--resource", help="Resource id, * and ? as wildcards.")]
FlowOption = Annotated[str, typer.Option("--flow", help="Flow name.")]
TriggerOption = Annotated[str, typer.Option("--trigger", help="Trigger name.")]
StateOption = Annotated[str, typer.Option("--state", help="State of the run, or the verdict.")]

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
    wanted = Filter(
        event=event, resource=resource, since=parse_time(since), until=parse_time(until), limit=limit
    )
    _list(
        "events",
        list_events,
        wanted,
        EVENT_COLUMNS,
        follow=follow,
        as_json=as_json,
        settings=load_settings(data),
    )


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
    wanted = Filter(
        flow=flow,
        trigger=trigger,
        state=state,
        event=event,
        resource=resource,
        since=parse_time(since),
        until=parse_time(until),
        limit=limit,
    )
    _list(
        "runs", list_runs, wanted, RUN_COLUMNS, follow=follow, as_json=as_json, settings=load_settings(data)
    )


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
    wanted = Filter(
        trigger=trigger,
        state=state,
        event=event,
        since=parse_time(since),
        until=parse_time(until),
        limit=limit,
    )
    _list(
        "verdicts",
        list_verdicts,
        wanted,
        VERDICT_COLUMNS,
        follow=follow,
        as_json=as_json,
        settings=load_settings(data),
    )


def _list(
    what: str,
    query: Callable[[StoreReader, Filter], list[dict[str, Any]]],
    wanted: Filter,
    columns: tuple[str, ...],
    *,
    follow: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    need(settings.clickhouse.url, "store", "ENSUE_CLICKHOUSE__URL")
    store = StoreReader(settings.clickhouse)
    try:
        if follow:
            # The tail begins before the list is asked for, so that nothing falls between the two.
            with tail(settings, what, wanted) as live:
                print_ndjson(reversed(query(store, wanted)))
                print_ndjson(live)
            return
        rows = query(store, wanted)
        for row in rows:
            reason = row.get("reason")
            row.update({"text": reason.get("text", "")} if isinstance(reason, dict) else {})
        show(rows, columns, as_json=as_json, what=what)
    finally:
        store.close()
