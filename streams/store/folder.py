"""The store's folder: one owner, a secret for the writer, and the engine's own configuration."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import TextIO
from xml.sax.saxutils import escape

from streams.errors import BadInput

SECRET_FILE = "writer.secret"  # noqa: S105 - a file name
_RIGHTS = (
    "SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, TRUNCATE, "
    "OPTIMIZE, SHOW"
)
_SYSTEM_TABLES = (
    "one",
    "numbers",
    "settings",
    "databases",
    "tables",
    "columns",
    "functions",
    "parts",
    "data_type_families",
    "processes",
    "merges",
)


def writer_secret(folder: Path) -> str:
    """Return the writer's secret, drawing it at the first call; the file is readable by its owner alone."""
    path = folder / SECRET_FILE
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("utf-8").strip()
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(32))
    return path.read_text("utf-8").strip()


def lock_folder(folder: Path) -> TextIO:
    """Return the open lock of `folder`; it is held until closed or until the process ends, kill -9 too.

    The engine locks its folder as well, but tells nobody why it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (folder / "store.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise BadInput(
            f"The store's folder {folder} is in use by process {owner}; "
            "stop that one (`ensue down`) or choose another folder with --data."
        ) from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def write_config(folder: Path, database: str) -> Path:
    """Write the engine's configuration and return its path.

    The process's only user may read and write `database` and read a few system tables. It has no source
    grants, so that no table function reaches files or the network (layer 1 of the guard).
    """
    config, users = folder / "config.xml", folder / "users.xml"
    grants = [
        f"GRANT {_RIGHTS} ON {database}.*",
        *(f"GRANT SELECT ON system.{table}" for table in _SYSTEM_TABLES),
        *(
            f"GRANT TABLE ENGINE ON {engine}"
            for engine in ("MergeTree", "ReplacingMergeTree", "AggregatingMergeTree", "Null")
        ),
    ]
    queries = "".join(f"<query>{escape(grant)}</query>" for grant in grants)
    _write(
        users,
        "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/>"
        "<profile>default</profile><quota>default</quota><networks><ip>::/0</ip></networks>"
        f"<grants>{queries}</grants></default></users></clickhouse>",
    )
    path = escape(str(users.resolve()))
    _write(
        config,
        f"<clickhouse><users_config>{path}</users_config>"
        f"<user_directories><users_xml><path>{path}</path></users_xml></user_directories>"
        "<access_control_improvements>"
        "<select_from_system_db_requires_grant>1</select_from_system_db_requires_grant>"
        "<select_from_information_schema_requires_grant>1</select_from_information_schema_requires_grant>"
        "</access_control_improvements>"
        "<mark_cache_size>67108864</mark_cache_size>"
        "<background_pool_size>2</background_pool_size></clickhouse>",
    )
    return config


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o600)
