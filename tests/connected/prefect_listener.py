"""Run by the Python of a real Prefect: subscribes, says so, and prints the ids of so many events."""

import asyncio
import json
import sys

from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter
from websockets.exceptions import WebSocketException


async def main(wanted: EventFilter, count: int) -> None:
    """Receive `count` different events.

    After a reconnect the client asks for the last minute again and passes over what it has seen within two
    minutes; on a busy machine it hands some on twice.
    """
    ids: dict[str, None] = {}
    said = False
    while len(ids) < count:
        try:
            async with get_events_subscriber(filter=wanted, reconnection_attempts=60) as subscriber:
                if not said:
                    print("listening", flush=True)
                    said = True
                async for event in subscriber:
                    ids[str(event.id)] = None
                    if len(ids) == count:
                        break
        except (WebSocketException, OSError, EOFError) as error:
            # Its own reconnecting does not expect a server that dies within a handshake.
            print(f"subscribing again: {error!r}", file=sys.stderr, flush=True)
            await asyncio.sleep(0.5)
    print(json.dumps(list(ids)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(EventFilter.model_validate_json(sys.argv[1]), int(sys.argv[2])))
