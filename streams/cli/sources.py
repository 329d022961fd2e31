"""`ensue sources`: the ways in, as configuration."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli import source_file
from streams.cli.context import load_settings
from streams.cli.options import DataOption, JsonOption, parse_time
from streams.cli.output import NOTHING_FOUND, print_json, show
from streams.cli.source_guide import Guide, Secret, fresh_secret, guide_of, where_theirs_is
from streams.cli.source_view import COLUMNS, rows, url_of
from streams.errors import BadInput, EnsueError
from streams.settings import Settings
from streams.source_settings import FolderSource, HttpSourceSettings, Source

NameArgument = Annotated[str, typer.Argument(help="Name of the source.", metavar="NAME")]
SecretStdin = Annotated[
    bool, typer.Option("--secret-stdin", help="Read the secret from standard input, not draw one.")
]
SecretEnv = Annotated[
    str, typer.Option("--secret-env", help="Take the secret from this variable.", metavar="VARIABLE")
]
PublicUrl = Annotated[
    str, typer.Option("--public-url", help="How the world reaches the gateway: https://HOST.", metavar="URL")
]
_NOTICED_WITHIN_S = 5.0

group = typer.Typer(
    no_args_is_help=True,
    help="""List, add, test, rotate and remove the ways in; backfill a bucket.

    \b
    ensue sources add shop --kind github
    ensue sources list
    ensue sources test shop
    """,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from streams.cli import backfill, source_check, source_database

    group.command("test")(source_check.check)
    group.command("check-database")(source_database.check_database)
    group.command("backfill")(backfill.backfill)
    app.add_typer(group, name="sources")


@group.command("list")
def list_(as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the sources with what came in by them.

    Example: ensue sources list --json
    """
    settings = load_settings(data)
    found, problems = rows(settings, sorted(settings.sources)) if settings.sources else ([], [])
    for problem in problems:
        print(f"ensue: {problem}", file=sys.stderr)
    if not found and not as_json:
        print("ensue: no source is configured; `ensue sources add` makes one", file=sys.stderr)
        raise typer.Exit(NOTHING_FOUND)
    show(found, COLUMNS, as_json=as_json, what="sources")


@group.command("show")
def show_one(name: NameArgument, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Show one source: its settings without secrets, and what came in by it.

    Example: ensue sources show shop
    """
    settings = load_settings(data)
    source = configured(settings, name)
    (row,), problems = rows(settings, [name])
    told = {**row, "settings": _shown_settings(source), "secrets": _secrets_told(source)}
    for problem in problems:
        print(f"ensue: {problem}", file=sys.stderr)
    if as_json:
        print_json(told)
        return
    for field in COLUMNS:
        print(f"{field + ':':17}{'' if told[field] is None else told[field]}")
    for field, value in told["settings"].items():
        print(f"{field + ' =':17}{value}")
    for secret in told["secrets"]:
        print(f"{'secret:':17}{secret}")


@group.command("add")
def add(
    name: NameArgument,
    kind: Annotated[str, typer.Option("--kind", help="github, s3, folder, …; a wrong one lists all.")],
    fields: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting FIELD=VALUE, the value as in TOML; repeatable.", metavar="F=V"),
    ] = None,
    silence_after: Annotated[
        str | None, typer.Option("--silence-after", help="Raise ensue.source.silent after: 15m, 1d, …")
    ] = None,
    secret_stdin: SecretStdin = False,
    secret_env: SecretEnv = "",
    public_url: PublicUrl = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a source to ensue.toml; prints once what to configure at the provider, the secret included.

    A running gateway takes it up within a second.

    \b
    ensue sources add shop --kind github --silence-after 1d
    ensue sources add pay --kind stripe --secret-env STRIPE_SIGNING_SECRET
    ensue sources add inbox --kind folder --set path=in
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    from streams.sources import secret_file
    from streams.wiring.live_sources import check_source

    source_file.check_name(name)
    settings = load_settings(data)
    if name in settings.sources:
        raise BadInput(f"there is a source {name} already; `ensue sources remove {name}` takes it away")
    given = {"kind": kind, **dict(source_file.field_of(text) for text in fields or [])}
    if silence_after is not None:
        given["silence_after_s"] = period_s(silence_after, "--silence-after")
    source_file.checked(name, given)
    guide = guide_of(kind, given)
    secret = _secret_of(kind, guide, secret_stdin=secret_stdin, secret_env=secret_env)
    if secret is not None and not {"secrets_file", "query_token_file"} & given.keys():
        path = settings.data / "secrets" / name
        given["query_token_file" if guide and guide.secret is Secret.ADDRESS else "secrets_file"] = str(path)
        secret_file.write(path, [secret_file.Secret(value=secret)])
    source = source_file.checked(name, given)
    try:
        check_source(name, source)
    except BadInput:
        _remove_secrets(settings, name, given)
        raise
    source_file.add(source_file.TOML, name, given)
    told = {"name": name, "kind": kind, "url": url_of(settings, name, source, public_url)}
    drawn = secret if secret is not None and guide and guide.secret is not Secret.THEIRS else None
    _tell(told, guide, drawn, source, as_json=as_json)
    _say_whether_noticed(settings, name, wanted=True)


@group.command("rotate")
def rotate(
    name: NameArgument,
    keep: Annotated[str, typer.Option("--keep", help="How long the old secret stays valid.")] = "24h",
    finish: Annotated[bool, typer.Option("--finish", help="End the old secrets now; draw none.")] = False,
    secret_stdin: SecretStdin = False,
    secret_env: SecretEnv = "",
    public_url: PublicUrl = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a new secret first; the old one is valid for --keep longer, then ends by itself.

    \b
    ensue sources rotate shop --keep 2h
    ensue sources rotate shop --finish
    """  # noqa: D301 - \b keeps typer from joining the example's lines
    from streams.sources import secret_file

    settings = load_settings(data)
    source = configured(settings, name)
    path, in_address = _rotating(name, source)
    keep_s = 0.0 if in_address else period_s(keep, "--keep")
    guide = guide_of(source.kind, source.model_dump())
    known = secret_file.parse(_read(path))
    if finish:
        ended = secret_file.finished(known)
        secret_file.write(path, ended)
        told: dict[str, Any] = {"name": name, "kind": source.kind, "ended": len(known) - len(ended)}
        print_json(told) if as_json else print(f"{name}: {told['ended']} old secrets ended")
        return
    secret = _secret_of(source.kind, guide, secret_stdin=secret_stdin, secret_env=secret_env)
    assert secret is not None, "a source with a secrets file has secrets"
    now_s = time.time()
    secret_file.write(path, secret_file.rotated(known, secret, now_s=now_s, keep_s=keep_s))
    if in_address and not as_json:
        print("the old address is refused from now on: one token is valid at a time")
    drawn = secret if guide is None or guide.secret is not Secret.THEIRS else None
    told = {"name": name, "kind": source.kind, "url": url_of(settings, name, source, public_url)}
    _tell({**told, "old_valid_for_s": keep_s}, guide, drawn, source, as_json=as_json)


@group.command("remove")
def remove(name: NameArgument, data: DataOption = None) -> None:
    """Take a source out of ensue.toml, and its secrets away; its events stay.

    Example: ensue sources remove shop
    """
    settings = load_settings(data)
    table = source_file.remove(source_file.TOML, name)
    if table is None:
        if name in settings.sources:
            raise BadInput(f"source {name} comes from ENSUE_SOURCES__… in the environment; take it out there")
        raise _no_such(name)
    _remove_secrets(settings, name, table)
    print(f"{name} was removed")
    _say_whether_noticed(settings, name, wanted=False)


def _remove_secrets(settings: Settings, name: str, fields: Mapping[str, Any]) -> None:
    """Take away the file that `add` made; one that a person put elsewhere stays."""
    ours = settings.data / "secrets" / name
    for field in ("secrets_file", "query_token_file"):
        if field in fields and Path(fields[field]).resolve() == ours.resolve():
            ours.unlink(missing_ok=True)


def configured(settings: Settings, name: str) -> Source:
    """Return the source; exit 3 when there is none."""
    if name not in settings.sources:
        raise _no_such(name)
    return settings.sources[name]


def period_s(text: str, option: str) -> float:
    """Return the seconds of 15m, 2h, 1d; raises BadInput."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    try:
        at = parse_time(text, now=now)
    except BadInput:
        at = None
    if at is None or text[:4].isdigit() or at > now:
        raise BadInput(f"{option} {text!r} is no period; write 30s, 15m, 2h or 1d")
    return (now - at).total_seconds()


def _no_such(name: str) -> typer.Exit:
    print(f"ensue: there is no source {name}; `ensue sources list` shows all", file=sys.stderr)
    return typer.Exit(NOTHING_FOUND)


def _secret_of(kind: str, guide: Guide | None, *, secret_stdin: bool, secret_env: str) -> bytes | None:
    """Return the secret that was given, or a fresh one where a kind's secret is ours; None: it has none."""
    if secret_stdin and secret_env:
        raise BadInput("--secret-stdin and --secret-env exclude each other")
    given: bytes | None = None
    if secret_stdin:
        given = sys.stdin.buffer.read().strip()
    elif secret_env:
        given = os.environ.get(secret_env, "").strip().encode()
    if given is not None:
        if guide is None or guide.secret is Secret.NONE:
            raise BadInput(f"kind {kind} takes no secret")
        if not given or b"\n" in given:
            raise BadInput(f"the secret in {secret_env or 'standard input'} is empty or has several lines")
        return given
    if guide is None or guide.secret is Secret.NONE:
        return None
    if guide.secret is Secret.THEIRS:
        raise BadInput(
            f"kind {kind} has its provider's secret ({where_theirs_is(kind)}); give it by --secret-stdin or "
            f"--secret-env VARIABLE"
        )
    return fresh_secret(kind)


def _tell(
    told: Mapping[str, Any], guide: Guide | None, secret: bytes | None, source: Source, *, as_json: bool
) -> None:
    """Print what to configure; the secret is shown here and never again."""
    shown = "" if secret is None else secret.decode("utf-8", "replace")
    if as_json:
        print_json({**told, "secret": shown or None})
        return
    print(f"source {told['name']} of kind {told['kind']}")
    if guide is not None:
        print(guide.say.replace("{url}", str(told["url"])).replace("{secret}", shown))
    elif isinstance(source, FolderSource):
        print(f"folder: {source.path}")
    if shown:
        print("The secret is not shown again; `ensue sources rotate` draws another.")


def _rotating(name: str, source: Source) -> tuple[Path, bool]:
    """Return the file that holds a source's secrets, and whether it is the token in its address."""
    if isinstance(source, HttpSourceSettings):
        if source.secrets_file is not None:
            return source.secrets_file, False
        if source.query_token_file is not None:
            return source.query_token_file, True
    raise BadInput(f"source {name} has no secrets file; set secrets_file in ensue.toml")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise EnsueError(f"{path} cannot be read: {error.strerror}") from None


def _shown_settings(source: Source) -> dict[str, Any]:
    """Return what was set, secrets masked."""
    return source.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})


def _secrets_told(source: Source) -> list[str]:
    """Return a sentence a secret, never the secret."""
    from streams.sources.secret_file import parse, valid

    if not isinstance(source, HttpSourceSettings):
        return []
    count = len(source.secrets) + (source.token is not None)
    told = ["from the environment, valid"] * count
    if source.secrets_file is not None:
        for one in valid(parse(_read(source.secrets_file)), time.time()):
            until = (
                ""
                if one.until_s is None
                else time.strftime(" until %Y-%m-%dT%H:%M:%SZ", time.gmtime(one.until_s))
            )
            told.append(f"in {source.secrets_file}, valid{until}")
    return told


def _say_whether_noticed(settings: Settings, name: str, *, wanted: bool) -> None:
    """Wait until a running gateway has taken the change up; say so on standard error when it does not."""
    if not settings.api_url:
        return
    from streams.cli.operator import ask_gateway

    deadline_s = time.monotonic() + _NOTICED_WITHIN_S
    told = "it reads another ensue.toml, or its log says what is wrong with this one"
    while time.monotonic() < deadline_s:
        try:
            if (name in ask_gateway(settings, "sources")["sources"]) == wanted:
                return
        except (EnsueError, typer.Exit) as error:
            told = str(error)
            break
        time.sleep(0.1)
    print(f"ensue: the gateway at {settings.api_url} has not noticed: {told}", file=sys.stderr)
