"""The child's end of the line: a thread that reads, a thread that writes, and calls that wait for an answer.

The run's own thread never touches the socket: a time limit may interrupt it anywhere, and half a frame would
end the conversation.
"""

import os
import signal
import socket
import threading
from queue import SimpleQueue
from typing import NoReturn

from streams.runs.child_protocol import LENGTH, BrokenFrame, Message, body_bytes, pack, unpack


class Link:
    """The line to the worker; when it breaks, the child and all it has started end at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._orders: SimpleQueue[Message] = SimpleQueue()
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        self._waiting: dict[int, SimpleQueue[Message]] = {}
        self._numbers = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._read, name="ensue-read", daemon=True).start()
        self._writer = threading.Thread(target=self._write, name="ensue-write", daemon=True)
        self._writer.start()

    def next_order(self) -> Message:
        """Return the worker's next message that is no answer; blocks."""
        return self._orders.get()

    def send(self, message: Message) -> None:
        """Send a message; does not block."""
        self._outgoing.put(pack(message))

    def call(self, message: Message) -> Message:
        """Send a message and return its answer; blocks."""
        answer: SimpleQueue[Message] = SimpleQueue()
        with self._lock:
            self._numbers += 1
            number = self._numbers
            self._waiting[number] = answer
        try:
            self.send({**message, "kind": "call", "number": number})
            return answer.get()
        finally:
            self._waiting.pop(number, None)

    def close(self, within_s: float) -> None:
        """Wait until everything has been written."""
        self._outgoing.put(None)
        self._writer.join(within_s)

    def _read(self) -> None:
        try:
            while True:
                message = unpack(self._exactly(body_bytes(self._exactly(LENGTH.size))))
                if message["kind"] != "answer":
                    self._orders.put(message)
                elif (waiting := self._waiting.get(message["number"])) is not None:
                    waiting.put(message)
        except (OSError, BrokenFrame):
            end_all()

    def _write(self) -> None:
        try:
            while (frame := self._outgoing.get()) is not None:
                self._socket.sendall(frame)
        except OSError:
            end_all()

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(min(count - len(data), 1 << 20))
            if not part:
                raise BrokenFrame("the worker has gone")
            data += part
        return bytes(data)


def end_all() -> NoReturn:
    """End this process and everything in its process group, without any clean-up."""
    os.killpg(0, signal.SIGKILL)
    os._exit(70)
