"""The triggers log in memory, with a fence as the broker keeps it."""

import json
from collections.abc import Callable, Sequence

from streams.catalog.definition import Definition, version_of
from streams.errors import Fenced
from streams.kafka.memory import MemoryLog, MemoryReader
from streams.kafka.record import Outgoing

TOPIC = "ensue.triggers"


class MemoryDefinitionsLog:
    """Only the newest writer writes. `on_open` is called at each opening, to let another one in between."""

    def __init__(self) -> None:
        self.topic = TOPIC
        self.log = MemoryLog({TOPIC: 1})
        self.epoch = 0
        self.on_open: Callable[[], None] = lambda: None

    def open_writer(self) -> "_Writer":
        self.epoch += 1
        mine = self.epoch
        self.on_open()
        return _Writer(self, mine)

    def open_reader(self) -> MemoryReader:
        return MemoryReader(self.log)

    @property
    def end(self) -> int:
        return len(self.log.records(TOPIC, 0))


class _Writer:
    def __init__(self, owner: MemoryDefinitionsLog, epoch: int) -> None:
        self._owner = owner
        self._epoch = epoch

    def write(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        if self._owner.epoch != self._epoch:
            raise Fenced("another deployment has taken over")
        for key, value in rows:
            self._owner.log.append(Outgoing(TOPIC, 0, key, value))

    def close(self) -> None:
        pass


def definition(name: str, expect: str = "e", flow: str = "f", flow_version: str = "1") -> Definition:
    """A valid definition."""
    text = json.dumps({"type": "event", "name": name, "expect": [expect]})
    return Definition(
        name=name,
        version=version_of(text, flow),
        definition=text,
        flow=flow,
        flow_version=flow_version,
        flow_definition=json.dumps({"name": flow, "file": "f.py"}),
    )
