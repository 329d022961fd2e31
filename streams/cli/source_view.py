"""What is known of sources: as configured, as the store has them, as the gateway counts them."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from streams.errors import EnsueError
from streams.settings import Settings
from streams.source_settings import HttpSourceSettings, Source

_LINE = re.compile(r'ensue_source_(\w+)\{source="((?:[^"\\]|\\.)*)"[^}]*\} (\S+)')
_TIMEOUT_S = 5.0
COLUMNS = (
    *("name", "kind", "url", "last_event_age", "events_24h", "dead_letters", "unauthenticated", "lag"),
    "state",
)


def url_of(settings: Settings, name: str, source: Source, base: str = "") -> str:
    """Return where deliveries go; empty for a source that is not sent to."""
    if not isinstance(source, HttpSourceSettings):
        return ""
    root = base or settings.api_url or f"http://{settings.host}:{settings.port}"
    return f"{root.rstrip('/')}/hooks/{name}"


def rows(settings: Settings, names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row a source, and sentences about what could not be asked."""
    problems: list[str] = []
    stored = _stored(settings, names, problems)
    counted = _counted(settings, problems)
    now = datetime.now(UTC)
    found = []
    for name in names:
        source = settings.sources[name]
        row = stored.get(name, {})
        count = counted.get(name, {})
        last = row.get("last_event")
        age_s = None if last is None else max(0.0, (now - datetime.fromisoformat(last)).total_seconds())
        found.append(
            {
                "name": name,
                "kind": source.kind,
                "url": url_of(settings, name, source),
                "last_event": last,
                "last_event_age_s": age_s,
                "last_event_age": "" if age_s is None else age_text(age_s),
                "events_24h": None if stored is _UNKNOWN else int(row.get("events_24h", 0)),
                "dead_letters": None if stored is _UNKNOWN else int(row.get("dead_letters", 0)),
                "unauthenticated": None
                if counted is _UNKNOWN
                else int(count.get("unauthenticated_total", 0)),
                "lag": None if "kafka_lag" not in count else int(count["kafka_lag"]),
                "silence_after_s": source.silence_after_s,
                "state": None if counted is _UNKNOWN else "silent" if count.get("silent") else "ok",
            }
        )
    return found, problems


_UNKNOWN: dict[str, Any] = {}


def _stored(settings: Settings, names: Sequence[str], problems: list[str]) -> Mapping[str, dict[str, Any]]:
    if not settings.clickhouse.url:
        problems.append("no store is known; start one with `ensue up`")
        return _UNKNOWN
    from streams.store.queries.reader import StoreReader
    from streams.store.queries.sources import seen

    store = StoreReader(settings.clickhouse)
    try:
        return dict(seen(store, names))
    except EnsueError as error:
        problems.append(str(error))
        return _UNKNOWN
    finally:
        store.close()


def _counted(settings: Settings, problems: list[str]) -> Mapping[str, dict[str, float]]:
    """Return the gateway's own counters by source."""
    if not settings.api_url:
        problems.append("no gateway is known; start one with `ensue up`")
        return _UNKNOWN
    import httpx

    try:
        text = (
            httpx.get(f"{settings.api_url.rstrip('/')}/metrics", timeout=_TIMEOUT_S).raise_for_status().text
        )
    except httpx.HTTPError as error:
        problems.append(f"the gateway at {settings.api_url} does not answer ({error})")
        return _UNKNOWN
    found: dict[str, dict[str, float]] = {}
    for what, name, value in _LINE.findall(text):
        counters = found.setdefault(_unescaped(name), {})
        counters[what] = counters.get(what, 0.0) + float(value)  # a topic's lag stands there by partition
    return found


def age_text(age_s: float) -> str:
    """Return an age as a person says it."""
    for unit, seconds in (("d", 86_400), ("h", 3600), ("m", 60)):
        if age_s >= 2 * seconds:
            return f"{age_s / seconds:.0f}{unit}"
    return f"{age_s:.0f}s"


def _unescaped(label: str) -> str:
    return label.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
