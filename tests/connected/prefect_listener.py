"""Run by the Python of a real Prefect: subscribes, says so, and prints the ids of so many events."""

import asyncio
import json
import sys

from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter


async def main(wanted: EventFilter, count: int) -> None:
    """Receive `count` events."""
    ids = []
    async with get_events_subscriber(filter=wanted, reconnection_attempts=60) as subscriber:
        print("listening", flush=True)
        async for event in subscriber:
            ids.append(str(event.id))
            if len(ids) == count:
                break
    print(json.dumps(ids), flush=True)


if __name__ == "__main__":
    asyncio.run(main(EventFilter.model_validate_json(sys.argv[1]), int(sys.argv[2])))
