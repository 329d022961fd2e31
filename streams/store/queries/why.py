"""Why did this happen, and what came of it: the chain of causes up and the tree of effects down."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, TypedDict

from streams.errors import BadInput
from streams.store.queries.lists import decoded
from streams.store.queries.reader import Row, StoreReader

LEVELS_MAX = 3 * 32  # event, firing, run for each link of a chain as deep as the loop guard allows
NODES_MAX = 1_000
_IDS_PER_QUERY = 200
Node = dict[str, Any]


class Why(TypedDict):
    """The answer; nodes are plain JSON objects.

    Every node has `kind` (event, firing, run, task_run, or verdict for a trigger that did not fire), `id`,
    `at`, `cause` (id of the node before it, or None), `distance` (links from the subject) and `delay_s`
    (seconds after its cause, or None). `up` begins with the first cause, `down` with the nearest effect. A
    run's node holds its tasks; `tasks` are the subject's own (of all runs in the answer when the subject is
    no run).
    """

    subject: Node
    up: list[Node]
    down: list[Node]
    tasks: list[Node]


def find(store: StoreReader, id_or_prefix: str) -> tuple[str, str]:
    """Return (kind, id) of a whole id or of the unique start of one.

    Raises LookupError when nothing has it, BadInput when several have.
    """
    text = id_or_prefix.strip().lower()
    if not text or any(c not in "0123456789abcdef-" for c in text) or len(text) > 36:
        raise BadInput(f"{id_or_prefix!r} is no id and not the start of one.")
    whole = len(text) == 36
    rows = store.rows("find_id", {"id": text}) if whole else store.rows("find_prefix", {"prefix": text})
    if not rows:
        raise LookupError(
            f"Nothing stored has the id {text}; what happened in the last second may not be in yet."
        )
    if len({row["found"] for row in rows}) > 1:
        some = ", ".join(f"{row['kind']} {row['found']}" for row in rows)
        raise BadInput(f"Several ids start with {text}: {some}. Give more of it.")
    return rows[0]["kind"], rows[0]["found"]


def why(store: StoreReader, id_or_prefix: str) -> Why:
    """Return the causes and effects of an event, firing, run, task run or verdict."""
    kind, one = find(store, id_or_prefix)
    if kind == "verdict":
        row = store.rows("why_verdicts", {"ids": [one]})[0]
        kind, one = ("firing", row["firing_id"]) if row["firing_id"] else ("event", row["event_id"])
    subject = _nodes(store, kind, [one])[0]
    up = _up(store, subject)
    down = _down(store, subject)
    return _with_tasks(store, subject, up, down)


def _up(store: StoreReader, subject: Node) -> list[Node]:
    """Return the causes of `subject`, first cause first."""
    found: list[Node] = []
    seen = {subject["id"]}
    level = [subject]
    for distance in range(1, LEVELS_MAX + 1):
        following: list[Node] = []
        for node in level:
            causes = [c for c in _causes(store, node) if c["id"] not in seen]
            for cause in causes:
                seen.add(cause["id"])
                cause["distance"] = distance
                following.append(cause)
            nearest = _nearest(node, causes)
            if nearest is not None:
                node["cause"] = nearest["id"]
                node["delay_s"] = _seconds(nearest["at"], node["at"])
        if not following or len(found) + len(following) > NODES_MAX:
            break
        found += following
        level = following
    found.sort(key=lambda node: (-node["distance"], node["at"]))
    return found


def _causes(store: StoreReader, node: Node) -> list[Node]:
    """Return what brought a node about."""
    if node["kind"] == "task_run":
        return _nodes(store, "run", [node["run_id"]])
    if node["kind"] == "run" and node["firing_id"]:
        return _nodes(store, "firing", [node["firing_id"]])
    if node["kind"] == "firing":
        return _nodes(store, "event", node["event_ids"] or [node["event_id"]])
    one = node.get("causation_id")
    if not one:
        return []
    return _nodes(store, "run", [one]) or _nodes(store, "event", [one])


def _nearest(node: Node, causes: Sequence[Node]) -> Node | None:
    """Return the cause that completed it: of a firing its last event."""
    last = node.get("event_id")
    return next((c for c in causes if c["id"] == last), causes[-1] if causes else None)


def _down(store: StoreReader, subject: Node) -> list[Node]:
    """Return the effects of `subject`, nearest first; at most NODES_MAX."""
    found: list[Node] = []
    seen = {subject["id"]}
    level = [subject]
    for distance in range(1, LEVELS_MAX + 1):
        following: list[Node] = []
        for effect, cause in _effects(store, level):
            if effect["id"] not in seen and len(found) + len(following) < NODES_MAX:
                seen.add(effect["id"])
                effect["distance"] = distance
                effect["cause"] = cause["id"]
                effect["delay_s"] = _seconds(cause["at"], effect["at"])
                following.append(effect)
        if not following:
            break
        found += following
        level = following
    return found


def _effects(store: StoreReader, level: Sequence[Node]) -> Iterable[tuple[Node, Node]]:
    """Yield (effect, cause) for the nodes of one level."""
    by_id = {node["id"]: node for node in level}
    events = [node["id"] for node in level if node["kind"] == "event"]
    runs = [node["id"] for node in level if node["kind"] == "run"]
    for row in _by(store, "why_firings_of_events", events):
        cause = next((by_id[one] for one in row["event_ids"] if one in by_id), None)
        if cause is not None:
            yield _firing(row), by_id.get(row["event_id"], cause)
    firings = {node["run_id"]: node for node in level if node["kind"] == "firing" and node["run_id"]}
    for node in _nodes(store, "run", list(firings)):
        yield node, firings[node["id"]]
    for row in _by(store, "why_verdicts_of_events", events):
        yield _node("verdict", row, at=row["at"]), by_id[row["event_id"]]
    for row in _by(store, "why_events_of_causes", [*runs, *events]):
        yield _event(row), by_id[row["causation_id"]]


def _with_tasks(store: StoreReader, subject: Node, up: list[Node], down: list[Node]) -> Why:
    runs = {node["id"]: node for node in (*up, subject, *down) if node["kind"] == "run"}
    tasks: list[Node] = []
    for row in _by(store, "why_tasks_of_runs", list(runs)):
        task = _task(row)
        run = runs[task["run_id"]]
        task["cause"], task["delay_s"] = run["id"], _seconds(run["started"] or run["at"], task["at"])
        run["tasks"].append(task)
        tasks.append(task)
    if subject["kind"] == "run":
        tasks = list(subject["tasks"])
    elif subject["kind"] == "task_run":
        tasks = [task for task in tasks if task["id"] == subject["id"]]
    return {"subject": subject, "up": up, "down": down, "tasks": tasks}


def _nodes(store: StoreReader, kind: str, ids: Collection[str]) -> list[Node]:
    name, build = _KINDS[kind]
    return [build(row) for row in _by(store, name, list(ids))]


def _by(store: StoreReader, name: str, ids: Sequence[str]) -> Iterable[Row]:
    for start in range(0, len(ids), _IDS_PER_QUERY):
        values = {"ids": list(ids[start : start + _IDS_PER_QUERY]), "limit": NODES_MAX}
        yield from map(decoded, store.rows(name, values))


def _event(row: Row) -> Node:
    labels = row["resource"]
    return _node("event", row, at=row["occurred"], file=labels.get("key") or labels.get("name"))


def _firing(row: Row) -> Node:
    return _node("firing", row, at=row["fired"])


def _run(row: Row) -> Node:
    duration_s = _seconds(row["started"], row["ended"])
    return _node("run", row, at=row["requested"], duration_s=duration_s, tasks=[])


def _task(row: Row) -> Node:
    duration_s = _seconds(row["started"], row["ended"])
    return _node("task_run", row, at=row["started"] or row["at"], duration_s=duration_s)


def _node(kind: str, row: Row, **more: Any) -> Node:
    return {"kind": kind, "id": row["id"], **row, **more, "cause": None, "distance": 0, "delay_s": None}


def _seconds(start: str | None, end: str | None) -> float | None:
    if start is None or end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


_KINDS: dict[str, tuple[str, Callable[[Row], Node]]] = {
    "event": ("why_events", _event),
    "firing": ("why_firings", _firing),
    "run": ("why_runs", _run),
    "task_run": ("why_tasks", _task),
}
