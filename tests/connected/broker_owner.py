"""A process that owns a broker until it is killed: `python broker_owner.py DATA PORT [--no-tie]`.

With --no-tie the kernel is not asked to end the JVM with its owner, so that an orphan is left.
"""

import sys
import time
from pathlib import Path

from streams.local import child
from streams.local.broker import LocalBroker

if __name__ == "__main__":
    if "--no-tie" in sys.argv:
        child.TRAMPOLINE = "import os, sys; os.execv(sys.argv[2], sys.argv[2:])"
    broker = LocalBroker(Path(sys.argv[1]), int(sys.argv[2]))
    broker.start()
    print(broker.pid, broker.bootstrap, flush=True)
    time.sleep(600)
