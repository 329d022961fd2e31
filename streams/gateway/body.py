"""A request's body: read with a bound in bytes and time, unpacked with a bound in bytes and ratio."""

import asyncio
import contextlib
import zlib
from collections.abc import Callable

import zstandard

from streams.gateway.in_flight import Share
from streams.gateway.problem import Problem
from streams.gateway.request import Request

RATIO_MAX = 100
_DRAIN_S = 5.0
_DRAINED_BYTES_MAX = 64 << 20
_GZIP_BITS = 31
_ZLIB_BITS = 15
_RATIO_FREE_BYTES = 64 << 10  # a small body of one repeated letter harms nobody
_ZSTD_WINDOW_BYTES_MAX = 8 << 20


class SenderGone(Exception):
    """The sender closed the connection before the body's end; there is nobody to answer."""


async def read_body(request: Request, *, bytes_max: int, share: Share) -> bytes:
    """Return the whole body, unpacked. Raises Problem 400, 413 or 415, Overload, SenderGone."""
    try:
        encoding = _encoding(request) if b"content-encoding" in request.headers else ""
    except Problem:
        await _drain(request)
        raise
    declared = request.headers.get(b"content-length")
    if declared is not None and int(declared) > bytes_max:
        await _drain(request)
        raise _too_large(f"The body has {int(declared)} bytes", bytes_max, close=True)
    raw = await _receive(request, bytes_max, share)
    return _unpack(raw, encoding, bytes_max, share) if encoding else raw


def _encoding(request: Request) -> str:
    encoding = request.text(b"content-encoding").strip().lower()
    if encoding in {"", "identity"}:
        return ""
    if encoding not in _DECODERS:
        raise Problem(
            415,
            "content-encoding",
            f"Content-Encoding {encoding[:50]} is not known; send gzip, deflate, zstd or plain bytes.",
            headers=((b"accept-encoding", b"gzip, deflate, zstd"),),
            close=True,
        )
    return encoding


async def _receive(request: Request, bytes_max: int, share: Share) -> bytes:
    """Collect the body; that it comes in time is the protocol's care (`streams.gateway.protocol`)."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] != "http.request":
            raise SenderGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            await _drain(request)
            raise _too_large("The body is larger", bytes_max, close=True)
        share.take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _drain(request: Request) -> None:
    """Read on for a while and keep nothing: a sender that is cut off while sending never sees the reason."""
    if b"expect" in request.headers:  # it waits for our word before it sends
        return
    left = _DRAINED_BYTES_MAX
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            while left > 0:
                message = await request.receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return


def _unpack(raw: bytes, encoding: str, bytes_max: int, share: Share) -> bytes:
    try:
        plain, complete = _DECODERS[encoding](raw, bytes_max + 1)
    except (zlib.error, zstandard.ZstdError):
        raise Problem(400, "content-encoding", f"The body is not valid {encoding}.") from None
    if len(plain) > bytes_max:
        raise _too_large("The unpacked body is larger", bytes_max, close=False)
    if not complete:
        raise Problem(400, "content-encoding", f"The body is not one whole {encoding} stream.")
    if len(plain) > max(_RATIO_FREE_BYTES, RATIO_MAX * len(raw)):
        raise Problem(413, "too-large", f"The body unpacks to more than {RATIO_MAX} times its size.")
    share.take(len(plain))
    return plain


def _zlib(raw: bytes, bytes_max: int, bits: int) -> tuple[bytes, bool]:
    unpacker = zlib.decompressobj(bits)
    plain = unpacker.decompress(raw, bytes_max)
    return plain, unpacker.eof and not unpacker.unused_data


def _zstd(raw: bytes, bytes_max: int) -> tuple[bytes, bool]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    with unpacker.stream_reader(raw, read_across_frames=False) as reader:
        plain = reader.read(bytes_max)
    complete = zstandard.frame_content_size(raw) in {-1, len(plain)}
    return bytes(plain), complete


_DECODERS: dict[str, Callable[[bytes, int], tuple[bytes, bool]]] = {
    "gzip": lambda raw, most: _zlib(raw, most, _GZIP_BITS),
    "deflate": lambda raw, most: _zlib(raw, most, _ZLIB_BITS),
    "zstd": _zstd,
}


def _too_large(what: str, bytes_max: int, *, close: bool) -> Problem:
    detail = f"{what}; {bytes_max} bytes are the most. Send it in parts."
    return Problem(413, "too-large", detail, close=close)
