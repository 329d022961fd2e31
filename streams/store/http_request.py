"""What a ClickHouse HTTP client sends, taken apart: who, which statement, which values, which data."""

import base64
import binascii
import hmac
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import lz4.frame
import zstandard

from streams.store.engine import EngineError

WRITER = "writer"
READERS = frozenset({"", "default", "reader"})
READER_BODY_BYTES_MAX = 1 << 20
WRITER_BODY_BYTES_MAX = 512 << 20
AUTHENTICATION_FAILED = 516
BAD_ARGUMENTS = 36
READONLY = 164
_TRANSPORT_NAMES = """
    query database session_id session_timeout session_check default_format query_id compress decompress
    wait_end_of_query buffer_size user password enable_http_compression client_protocol_version role
    quota_key send_progress_in_http_headers http_headers_progress_interval_ms add_http_cors_header
    cancel_http_readonly_queries_on_client_close http_zlib_compression_level
"""
_TRANSPORT = frozenset(_TRANSPORT_NAMES.split())
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INSERT = re.compile(
    rb"\s*(INSERT\s+INTO\b.*?)\s+FORMAT\s+(\w+)[ \t]*(?:\r?\n|;|\Z|(?=\S))", re.IGNORECASE | re.DOTALL
)
_INSERT_HEAD_BYTES = 65_536
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRequest:
    """One statement as it came."""

    writer: bool
    text: bytes
    query_id: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    default_format: str
    compress: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """An INSERT with its data behind it."""

    statement: str
    data_format: str
    data: bytes


def is_writer(headers: Mapping[str, str], query: Mapping[str, str], secret: str) -> bool:
    """Return whether the writer asks; raises EngineError for a wrong name or secret."""
    user, password = _credentials(headers, query)
    if user == WRITER:
        if hmac.compare_digest(password.encode(), secret.encode()):
            return True
        raise EngineError(
            "Code: 516. The writer's secret is wrong; it lies in store/writer.secret of the data folder. "
            "(AUTHENTICATION_FAILED)",
            code=AUTHENTICATION_FAILED,
        )
    if user in READERS:
        return False
    raise EngineError(
        f"Code: 516. There is no user {user[:64]!r}; read as `reader` without a password. "
        "(AUTHENTICATION_FAILED)",
        code=AUTHENTICATION_FAILED,
    )


def _credentials(headers: Mapping[str, str], query: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers:
        return headers["x-clickhouse-user"], headers.get("x-clickhouse-key", "")
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise EngineError(
                "Code: 516. The Authorization header cannot be read. (AUTHENTICATION_FAILED)",
                code=AUTHENTICATION_FAILED,
            ) from None
        return user, password
    return query.get("user", ""), query.get("password", "")


def decompress(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """Return the plain body; raises EngineError when it is none or larger than `bytes_max`."""
    if not encoding or encoding == "identity":
        return body
    try:
        # Each stops at the bound: a small body may unpack to gigabytes.
        if encoding in {"gzip", "deflate"}:
            plain = zlib.decompressobj(_ZLIB_OR_GZIP).decompress(body, bytes_max + 1)
        elif encoding == "lz4":
            plain = lz4.frame.LZ4FrameDecompressor().decompress(body, max_length=bytes_max + 1)
        elif encoding == "zstd":
            plain = zstandard.ZstdDecompressor().stream_reader(body).read(bytes_max + 1)
        else:
            raise _bad(f"Content-Encoding {encoding} is not understood; use lz4, zstd or gzip.")
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, RuntimeError) as error:
        raise _bad(f"The {encoding} body cannot be unpacked: {error}.") from error
    if len(plain) > bytes_max:
        raise _bad(f"The unpacked body is larger than {bytes_max} bytes.")
    return plain


def read_request(
    *, writer: bool, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> StatementRequest:
    """Return the statement with its values and settings."""
    text = query.get("query", "").encode()
    if body:
        text = text + b"\n" + body if text else body
    settings = {
        name: value
        for name, value in query.items()
        if name not in _TRANSPORT and not name.startswith("param_")
    }
    for name in settings:
        if not _SETTING.fullmatch(name):
            raise _bad(f"{name[:64]!r} is no setting.")
    return StatementRequest(
        writer=writer,
        text=text,
        query_id=query.get("query_id", ""),
        parameters={name[6:]: value for name, value in query.items() if name.startswith("param_")},
        settings=settings,
        default_format=query.get("default_format", headers.get("x-clickhouse-format", "TabSeparated")),
        compress=query.get("enable_http_compression") == "1",
    )


def as_insert(text: bytes) -> Insert | None:
    """Return the parts of `INSERT INTO … FORMAT X` with data, or None for any other statement."""
    found = _INSERT.match(text[:_INSERT_HEAD_BYTES])
    if found is None or found[2].lower() == b"values":
        return None
    return Insert(
        statement=found[1].decode(),
        data_format=found[2].decode(),
        data=bytes(memoryview(text)[found.end() :]),
    )


def _bad(message: str) -> EngineError:
    return EngineError(f"Code: {BAD_ARGUMENTS}. {message} (BAD_ARGUMENTS)", code=BAD_ARGUMENTS)
