"""Run by the Python of a real Prefect: subscribes, says so, and prints the ids of so many events."""

import asyncio
import json
import sys

from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter


async def main(wanted: EventFilter, count: int) -> None:
    """Receive `count` different events.

    After a reconnect the client asks for the last minute again and passes over what it has seen within two
    minutes; on a busy machine it hands some on twice.
    """
    ids: dict[str, None] = {}
    async with get_events_subscriber(filter=wanted, reconnection_attempts=60) as subscriber:
        print("listening", flush=True)
        async for event in subscriber:
            ids[str(event.id)] = None
            if len(ids) == count:
                break
    print(json.dumps(list(ids)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(EventFilter.model_validate_json(sys.argv[1]), int(sys.argv[2])))
