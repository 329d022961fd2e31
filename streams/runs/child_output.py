"""What a run printed, bounded: the first and the last part are kept."""


class Output:
    """Collects bytes in constant memory."""

    def __init__(self, bytes_max: int) -> None:
        self._head_max = bytes_max // 2
        self._tail_max = bytes_max - self._head_max
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def add(self, data: bytes) -> None:
        """Take in what was printed."""
        self._total += len(data)
        room = self._head_max - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._tail_max:
            del self._tail[: len(self._tail) - self._tail_max]

    def text(self) -> str:
        """Return what is kept as text; a line says how much was left out."""
        tail = self._tail[max(0, len(self._tail) - self._tail_max) :]
        left_out = self._total - len(self._head) - len(tail)
        head, end = self._head.decode("utf-8", "replace"), tail.decode("utf-8", "replace")
        return f"{head}\n… {left_out} bytes left out …\n{end}" if left_out else head + end
