"""A clickhouse-connect client for a user of the store, and its errors as ours."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from urllib3.exceptions import HTTPError

from streams.errors import BadInput, EnsueError, Fenced, Overload, Poison, Transport
from streams.settings import ClickHouseSettings

T = TypeVar("T")
_CODE_FENCED = 392
_CODES_OVERLOAD = frozenset({202})
# The data cannot be read or breaks a type; sending them again changes nothing.
_CODES_POISON = frozenset(
    {6, 8, 9, 25, 26, 27, 32, 33, 34, 38, 41, 53, 69, 70, 72, 108, 117, 131, 321, 349, 376, 469}
)
_CODES_POISON_TOO = frozenset({1000, 1001, 1002})  # exceptions of the Avro library
_CODES_BAD_INPUT = frozenset({36, 46, 47, 60, 62, 81, 164, 206, 386, 456, 457, 497, 516})
_CONNECT_S = 5
_ANSWER_S = 120


def connect(settings: ClickHouseSettings, *, writer: bool) -> Client:
    """Return a client as the writer or as a reader; raises Transport when nobody answers.

    It keeps no session, so that threads may share it.
    """
    address = urlsplit(settings.url)
    if address.hostname is None:
        raise BadInput(
            f"ENSUE_CLICKHOUSE__URL {settings.url!r} names no host; give one, for example http://127.0.0.1:4289."
        )
    return translated(
        lambda: clickhouse_connect.get_client(
            interface=address.scheme,
            host=address.hostname,
            port=address.port or (8443 if address.scheme == "https" else 8123),
            username=settings.writer_user if writer else settings.user,
            password=(settings.writer_password if writer else settings.password).get_secret_value(),
            database=settings.database,
            connect_timeout=_CONNECT_S,
            send_receive_timeout=_ANSWER_S,
            query_retries=0,
            autogenerate_session_id=False,
            compress=False,
            show_clickhouse_errors=True,
        )
    )


def translated(call: Callable[[], T]) -> T:
    """Return what `call` returns; the driver's errors become ours (Poison, Transport, …)."""
    try:
        return call()
    except DatabaseError as error:
        raise _database_error(error) from error
    except (ClickHouseError, HTTPError, OSError) as error:
        raise Transport(f"The store does not answer ({error}); it is asked again.") from error


def _database_error(error: Any) -> EnsueError:
    code = error_code(error)
    text = str(error).strip()
    if code == _CODE_FENCED:
        return Fenced(text)
    if code in _CODES_OVERLOAD:
        return Overload(text)
    if code in _CODES_POISON or (code in _CODES_POISON_TOO and "avro" in text.lower()):
        return Poison(text, reason="refused_by_store")
    if code in _CODES_BAD_INPUT:
        return BadInput(text)
    return Transport(f"The store failed ({text}); it is asked again.")


def error_code(error: Exception) -> int | None:
    """Return ClickHouse's number of an error, None when it carries none."""
    found = getattr(error, "code", None)
    return found if isinstance(found, int) else None
