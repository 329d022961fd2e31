"""Where a sink goes on: what is stored is read from the store, what was seen from the log (DESIGN 5.3)."""

import logging
from collections.abc import Sequence

from schemas.dedupe import IdWindow
from streams.errors import BadInput
from streams.kafka.ports import LogSource
from streams.store.sink_place import SinkPlace
from streams.store.sink_ports import Place, Stored
from streams.store.tables import Target

PEEK_RECORDS_MAX = 500_000  # over all partitions; ids beyond are asked from the store
_log = logging.getLogger(__name__)


def owned(targets: Sequence[Target], ordinal: int, of: int) -> list[tuple[Target, int]]:
    """Return the fixed partitions of a sink."""
    return [(t, p) for t in targets for p in range(t.partitions) if p % of == ordinal]


def open_places(
    targets: Sequence[Target],
    *,
    ordinal: int,
    of: int,
    log: LogSource,
    store: Stored,
    dedupe_for_us: int,
    dedupe_ids_max: int,
    completes: bool = True,
) -> dict[Place, SinkPlace]:
    """Return the partitions of this sink and assign `log` to where each must be read from.

    Nothing here trusts that the last insert went in whole: every offset above the noted progress is compared
    with the store row by row. `completes` is off only where a test shows what that is good for.
    """
    mine = owned(targets, ordinal, of)
    progress = store.progress()
    peek_max = min(dedupe_ids_max, max(PEEK_RECORDS_MAX // max(len(mine), 1), 1))
    places: dict[Place, SinkPlace] = {}
    starts: dict[Place, int] = {}
    for target, partition in mine:
        place = (target.topic, partition)
        low, high = log.watermarks(*place)
        resume = progress.get(place, 0)
        if resume < low:
            if resume or low:
                _log.error(
                    "%s[%d]: offsets %d to %d left the log before they were stored; they are lost to SQL. "
                    "Raise the topic's retention or keep the sink running.",
                    *place,
                    resume,
                    low - 1,
                )
            resume = low
        elif resume > high:
            raise BadInput(
                f"{target.topic}[{partition}] ends at offset {high}, but {resume} offsets of it are stored: "
                "the topic was made anew. Choose another data folder (or topic prefix) for the new log."
            )
        starts[place] = max(low, resume - peek_max)
        places[place] = SinkPlace(
            target=target,
            partition=partition,
            resume=resume,
            next=starts[place],
            window=IdWindow(dedupe_for_us, dedupe_ids_max, from_start=starts[place] == 0),
            saved=progress.get(place, -1),
        )
    if completes:
        for target in targets:
            _load_stored(target, [p for p in places.values() if p.target is target], store)
    log.assign(starts)
    return places


def _load_stored(target: Target, places: Sequence[SinkPlace], store: Stored) -> None:
    if not places:
        return
    least = min(place.resume for place in places)
    by_partition = {place.partition: place for place in places}
    for table in target.tables:
        for partition, offset in store.offsets_from(table, target.topic, least, by_partition.keys()):
            place = by_partition[partition]
            if offset >= place.resume:
                place.stored.setdefault(table, set()).add(offset)
