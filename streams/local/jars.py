"""Kafka's jars by Maven coordinates: a pinned list, fetched with jgo, verified, kept in the user's cache.

The list beside this file names every jar with size and sha256, so no pom is resolved at run time. jgo's
settings file, `M2_REPO` and the usual proxy variables choose where the jars come from; what comes is judged
by our own sums alone.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams.errors import Poison, Transport
from streams.local.lock import FolderLock
from streams.local.progress import download_progress

_PARALLEL = 4
_ATTEMPTS = 3
_READ_TIMEOUT_S = 20
_RETRY_WAIT_S = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Jar:
    """One pinned artifact: `group:artifact:version`, its length and its sum."""

    coordinate: str
    bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Name in the cache folder."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


@dataclass(frozen=True, slots=True, kw_only=True)
class JarList:
    """The jars of one Kafka version."""

    kafka: str
    jars: tuple[Jar, ...]


def pinned() -> JarList:
    """Read the list that is part of the package."""
    document = json.loads(Path(__file__).with_name("kafka-jars.json").read_text("utf-8"))
    return JarList(kafka=document["kafka"], jars=tuple(Jar(**jar) for jar in document["jars"]))


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/ensue`, by default `~/.cache/ensue`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "ensue"


def cache_folder(jars: JarList) -> Path:
    """Where the jars of this version live."""
    return cache_root() / f"kafka-{jars.kafka}"


def ensure_jars(jars: JarList | None = None, folder: Path | None = None) -> list[Path]:
    """Return the verified jars, sorted by name, downloading only those that are absent or damaged.

    Safe to kill at any time: a jar appears under its name only when complete and verified. Two processes at
    once wait for each other.

    Raises:
        Transport: a jar could not be fetched; the text names it and what to do.
        Poison: what was fetched is not what the list says.

    """
    jars = jars or pinned()
    folder = folder or cache_folder(jars)
    paths = sorted(folder / jar.file_name for jar in jars.jars)
    if not _missing(jars, folder):
        return paths
    with _writable(folder):
        missing = _missing(jars, folder)
        if missing:
            _fetch(jars.kafka, missing, folder)
    return paths


def _missing(jars: JarList, folder: Path) -> list[Jar]:
    return [jar for jar in jars.jars if not _is_intact(folder / jar.file_name, jar)]


def _is_intact(path: Path, jar: Jar) -> bool:
    try:
        if path.stat().st_size != jar.bytes:
            return False
    except OSError:
        return False
    return _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    lock = FolderLock(folder, "download")
    try:
        lock.acquire_waiting()
    except OSError as error:
        raise Transport(
            f"Kafka's jars cannot be kept in {folder}: {error.strerror}. "
            f"Set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _fetch(version: str, missing: list[Jar], folder: Path) -> None:
    # Staging lies beside its target so that the rename is atomic; the lock makes leftovers ours to remove.
    staging = folder / "incoming"
    shutil.rmtree(staging, ignore_errors=True)
    total_bytes = sum(jar.bytes for jar in missing)
    title = f"Kafka {version}: downloading {len(missing)} jars"
    try:
        with download_progress(title, total_bytes) as advance, ThreadPoolExecutor(_PARALLEL) as pool:
            jobs = [pool.submit(_fetch_one, jar, staging, folder, advance) for jar in missing]
            try:
                for job in jobs:
                    job.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fetch_one(jar: Jar, staging: Path, folder: Path, advance: Callable[[int], None]) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        place = staging / f"{jar.file_name}-{attempt}"
        try:
            path = _resolve(jar, place)
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo raises RuntimeError
            if attempt == _ATTEMPTS:
                raise Transport(_remedy(jar, folder, str(error))) from error
            time.sleep(attempt * _RETRY_WAIT_S)
            continue
        found = _sha256(path)
        if found != jar.sha256:
            raise Poison(
                f"{jar.file_name} ({jar.coordinate}) came with sha256 {found}, but {jar.sha256} is pinned. "
                f"The repository or a proxy in between changed it; nothing was installed",
                reason="jar_sum",
            )
        path.replace(folder / jar.file_name)
        advance(jar.bytes)
        return


def _resolve(jar: Jar, place: Path) -> Path:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    settings = GlobalSettings.load()
    context = MavenContext(
        repo_cache=place,
        # The user's mirrors first: who names one may have no way to the default.
        remote_repos={**settings.repositories, "central": MAVEN_CENTRAL_URL},
        timeout=_READ_TIMEOUT_S,
    )
    artifact = context.create_dependency(jar.coordinate).artifact
    own = Path(settings.repo_cache) / artifact.component.path_prefix / artifact.filename
    if _is_intact(own, jar):
        copy = place / jar.file_name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(own, copy)
        return copy
    return Path(artifact.resolve())


def _remedy(jar: Jar, folder: Path, cause: str) -> str:
    return (
        f"{jar.file_name} ({jar.coordinate}) could not be downloaded after {_ATTEMPTS} attempts: {cause}. "
        f"Check the network and proxy variables, name a mirror under [repositories] in jgo's settings file, "
        f"or put the file into {folder} yourself. Jars already complete are kept; run the command again"
    )
