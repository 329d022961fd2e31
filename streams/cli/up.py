"""`ensue up`: everything on this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.context import fill_in
from streams.cli.options import DataOption
from streams.errors import BadInput, EnsueError
from streams.local.instance import FILE, Instance, read_instance
from streams.local.lock import FolderLock
from streams.local.ports import choose_port, is_free
from streams.local.supervisor import Supervisor
from streams.settings import Settings

EARLY = ("broker", "registry")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    flow_files: Annotated[list[Path] | None, typer.Argument(help="Files with flows to deploy.")] = None,
    data: DataOption = None,
    port: Annotated[int | None, typer.Option("--port", help="Port of the gateway (default 4288).")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once ready; stop with `ensue down`.")
    ] = False,
) -> None:
    """Start everything on this machine and keep it running.

    \b
    ensue up my_flows.py
    ensue up --data /var/lib/ensue --port 8080 flows/*.py
    ensue up -d && ensue status && ensue down
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    files = [path.resolve() for path in flow_files or []]
    for path in files:
        if not path.is_file():
            raise typer.BadParameter(f"{path} is not a file")
        check_syntax(path)
    settings = Settings() if data is None else Settings(data=data)
    settings = settings.model_copy(update={"data": settings.data.absolute(), "port": port or settings.port})
    if port and not is_free(port, settings.host):
        raise BadInput(f"port {port} is taken on {settings.host}; give another, or none to have one chosen")
    if detach:
        start_detached(settings, files)
        return
    settings.data.mkdir(parents=True, exist_ok=True)
    with FolderLock(settings.data, "up"):
        supervise(settings, files)


def check_syntax(path: Path) -> None:
    """Refuse a file that is no Python before anything is started; nothing of it is run here."""
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"flow file {path} is no Python: {error}") from error


def start_detached(settings: Settings, files: list[Path]) -> None:
    """Start `ensue up` in the background and return once it is ready."""
    fetch_broker(settings)
    settings.data.mkdir(parents=True, exist_ok=True)
    log = settings.data / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "streams.cli.main",
        "up",
        "--data",
        str(settings.data),
        "--port",
        str(settings.port),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, *map(str, files)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    while process.poll() is None:
        instance = read_instance(settings.data)
        if instance is not None and instance.pid == process.pid and instance.state == "ready":
            print(log.read_text("utf-8"), end="")
            return
        time.sleep(0.1)
    raise EnsueError(
        f"`ensue up` ended with exit code {process.returncode}:\n{log.read_text('utf-8')[-2000:]}"
    )


def supervise(settings: Settings, files: list[Path]) -> None:
    """Run the supervisor in this process until SIGTERM or Ctrl-C."""
    began = time.monotonic()
    asked = settings
    settings, instance, embedded = place(asked)
    names = [
        *(name for name in ("broker", "store", "registry") if name in embedded),
        "sink",
        "gateway",
        "router",
        "worker",
    ]
    commands = {name: [sys.executable, "-m", "streams.cli.main", name] for name in names}
    supervisor = Supervisor(
        data=settings.data, instance=instance, commands=commands, env=environment(settings), say=say
    )
    (settings.data / FILE).unlink(missing_ok=True)
    if "broker" in embedded:
        fetch_broker(asked)
    # From here on Ctrl-C stops the parts in order; the download above it just ends.
    signal.signal(signal.SIGTERM, supervisor.request_stop)
    signal.signal(signal.SIGINT, supervisor.request_stop)
    if settings.port != asked.port:
        say(f"port {asked.port} is taken; the gateway listens on {settings.port}")
    say(f"starting {', '.join(names)} in {settings.data}")
    try:
        supervisor.start()
        supervisor.wait_ready([name for name in EARLY if name in embedded])
        from streams.wiring.prepare import prepare

        prepare(settings)
        deploy(settings, files)
        supervisor.wait_ready(names)
        say(
            f"ready in {time.monotonic() - began:.1f} s at {instance.api_url} (SQL {instance.clickhouse_url})"
        )
        supervisor.run()
    finally:
        say("stopping")
        supervisor.stop()


def deploy(settings: Settings, files: list[Path]) -> None:
    """Publish the flow files in a process of its own: whatever user code does at import stays there."""
    if not files:
        return
    command = [
        sys.executable,
        "-m",
        "streams.cli.main",
        "deploy",
        "--data",
        str(settings.data),
    ]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        say(line)
    if done.returncode:
        raise (BadInput if done.returncode == 2 else EnsueError)(done.stderr.removeprefix("ensue: ").strip())


def fetch_broker(settings: Settings) -> None:
    """Fetch the broker's jars where a person sees the progress; does nothing when they are there."""
    if not settings.kafka.bootstrap_servers:
        from streams.local.jars import ensure_jars

        ensure_jars()


def place(settings: Settings) -> tuple[Settings, Instance, set[str]]:
    """Choose ports for the embedded parts; return settings with every address filled in."""
    embedded = {
        name
        for name, outside in (
            ("broker", settings.kafka.bootstrap_servers),
            ("store", settings.clickhouse.url),
            ("registry", settings.registry.url),
        )
        if not outside
    }
    host = settings.host
    ports = {
        name: choose_port(getattr(settings, name), host=host)
        for name in ("port", "store_port", "registry_port", "broker_port")
    }
    settings = settings.model_copy(update=ports)
    instance = Instance(
        pid=os.getpid(),
        started=time.time(),
        api_url=f"http://{host}:{ports['port']}",
        clickhouse_url=settings.clickhouse.url or f"http://{host}:{ports['store_port']}",
        registry_url=settings.registry.url or f"http://{host}:{ports['registry_port']}",
        bootstrap_servers=settings.kafka.bootstrap_servers or f"{host}:{ports['broker_port']}",
    )
    return fill_in(settings, instance), instance, embedded


def environment(settings: Settings) -> dict[str, str]:
    """Return what the parts must know beside the person's own environment and ensue.toml."""
    return {
        "ENSUE_DATA": str(settings.data),
        "ENSUE_HOST": settings.host,
        "ENSUE_PORT": str(settings.port),
        "ENSUE_STORE_PORT": str(settings.store_port),
        "ENSUE_REGISTRY_PORT": str(settings.registry_port),
        "ENSUE_BROKER_PORT": str(settings.broker_port),
        "ENSUE_API_URL": settings.api_url,
        "ENSUE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "ENSUE_CLICKHOUSE__URL": settings.clickhouse.url,
        "ENSUE_REGISTRY__URL": settings.registry.url,
        "PYTHONUNBUFFERED": "1",
    }


def say(sentence: str) -> None:
    """Show a sentence with the time."""
    print(f"{time.strftime('%H:%M:%S')} {sentence}", flush=True)
