"""Run by the Python of a real Prefect: emits events, waits until all are sent, prints their ids."""

import json
import sys
import time

from prefect.events import emit_event
from prefect.events.worker import EventsWorker

NAME, EVERY_WITH_BATCH = "prefect.test", 10
CHUNK, PAUSE_S = 100, 0.1


def main(count: int) -> None:
    """Emit `count` events; each tenth has a related resource of the role `batch`."""
    ids = []
    for number in range(count):
        batch = {"prefect.resource.id": f"batch.{number // 100}", "prefect.resource.role": "batch"}
        event = emit_event(
            event=NAME,
            resource={"prefect.resource.id": f"order.{number % 97}", "env": "test"},
            related=[batch] if number % EVERY_WITH_BATCH == 0 else [],
            payload={"number": number},
        )
        ids.append(str(event.id))
        if number % CHUNK == CHUNK - 1:
            time.sleep(PAUSE_S)
    EventsWorker.instance().drain()
    print(json.dumps(ids), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
