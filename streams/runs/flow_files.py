"""Where the deployed flows are, from the newest definitions of the triggers log."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from flows.errors import InvalidDefinition
from flows.loader import version_of
from flows.retry import Retry
from schemas.record import Trigger
from streams.runs.ports import FlowFile

_log = logging.getLogger(__name__)
Newest = Callable[[], Mapping[str, tuple[int, Trigger]]]


class FlowFiles:
    """The port `Flows` over a catalog; its index is made anew when the catalog has moved."""

    def __init__(self, *, newest: Newest, position: Callable[[], int]) -> None:
        """`newest` gives the newest record of every trigger with its offset, `position` the log's end."""
        self._newest = newest
        self._position = position
        self._indexed = -1
        self._versions: dict[tuple[str, str], FlowFile] = {}
        self._flows: dict[str, FlowFile] = {}

    def find(self, flow: str, version: str) -> FlowFile | None:
        """Return how to run a flow, in that version if it is known, else as it is deployed now."""
        self._index()
        return self._versions.get((flow, version)) or self._flows.get(flow)

    def files(self) -> set[str]:
        """Return the files of all deployed flows, for `Executor.preload`."""
        self._index()
        return {one.file for one in self._flows.values()}

    async def available(self, flow: str, version: str) -> bool:
        """Return whether the flow's file is here in that version now."""
        found = self.find(flow, version)
        return found is not None and await asyncio.to_thread(_is_version, found.file, version)

    def _index(self) -> None:
        position = self._position()
        if position == self._indexed:
            return
        for _, item in sorted(self._newest().values(), key=lambda pair: pair[0]):
            try:
                definition = json.loads(item.flow_definition or "{}")
                found = FlowFile(
                    file=definition["file"],
                    timeout_s=definition.get("timeout_s"),
                    retry=Retry.from_json(definition),
                )
            except (ValueError, LookupError, TypeError, InvalidDefinition) as error:
                # The text of a removal may be empty; what was read before stays known.
                if not item.removed:
                    _log.error("flow %s of trigger %s cannot be run: %r", item.flow, item.name, error)
                continue
            self._versions[item.flow, item.flow_version] = found
            self._flows[item.flow] = found
        self._indexed = position


def _is_version(file: str, version: str) -> bool:
    try:
        return version_of(Path(file).read_bytes()) == version
    except OSError:
        return False
