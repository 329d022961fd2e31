"""A gateway over a log that keeps nothing, with every kind of source; prints its port."""

import asyncio
from collections.abc import Sequence
from typing import Any

from schemas.codec import fixed_codec
from streams.gateway.ports import Row
from streams.gateway.server import serve
from streams.settings import Settings
from streams.sources.kinds import KINDS
from tests.hostile_case import doors


class Nowhere:
    """Acknowledges everything, shows everything."""

    async def append(self, _topic: str, _rows: Sequence[Row]) -> Sequence[int]:
        """Take."""
        return []

    async def visible(self, _event_id: str) -> bool:
        """Yes."""
        return True

    async def share_of_retention(self) -> float:
        """None."""
        return 0.0


def listening(port: int, _intake: Any) -> None:
    """Say where."""
    print(port, flush=True)


async def main() -> None:
    """Serve until SIGTERM."""
    nowhere = Nowhere()
    await serve(
        Settings(port=0),
        log=nowhere,
        codec=fixed_codec(),
        probe=nowhere,
        lag=nowhere,
        hooks={f"{door}-{kind}": source for kind in KINDS for door, source in doors(kind).items()},
        on_listening=listening,
    )


if __name__ == "__main__":
    asyncio.run(main())
