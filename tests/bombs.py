"""Bodies and headers made to hurt: what costs the sender little and a careless reader much."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence

import zstandard

from tests.hostile_case import EVENTBRIDGE, GRID, PUBSUB, S3, SNS, nested

MB = 1 << 20
_zstd = zstandard.ZstdCompressor(level=19).compress
Pairs = Sequence[tuple[bytes, bytes]]


def packed(pack: Callable[[bytes], bytes], plain: bytes, times: int = 1) -> bytes:
    """Pack, once or within itself."""
    for _ in range(times):
        plain = pack(plain)
    return plain


def many(item: object, count: int) -> bytes:
    """A JSON array of the same item."""
    return b"[" + b",".join([json.dumps(item).encode()] * count) + b"]"


def _sns(message: bytes | str) -> bytes:
    text = message if isinstance(message, str) else message.decode()
    return json.dumps({**SNS, "Message": text}).encode()


def _pubsub(data: bytes) -> bytes:
    message = {**PUBSUB["message"], "data": base64.b64encode(data).decode()}  # type: ignore[dict-item]
    return json.dumps({**PUBSUB, "message": message}).encode()


# What is sent packed: Content-Encoding and bytes.
PACKED: Mapping[str, tuple[str, bytes]] = {
    "gzip, 1:1000": ("gzip", packed(gzip.compress, b" " * 9 * MB)),
    "gzip just below the bound": ("gzip", packed(gzip.compress, b" " * 8 * MB)),
    "deflate, 1:1000": ("deflate", packed(zlib.compress, b"[" * 9 * MB)),
    "zstd, 1:10000": ("zstd", packed(_zstd, b" " * 9 * MB)),
    "zstd that says 1 GB": ("zstd", b"\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x40\x01\x00\x00"),
    "zstd with a window of 2 GB": ("zstd", b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"),
    "gzip named twice": ("gzip, gzip", packed(gzip.compress, b"{}", 2)),
    "two gzip members": ("gzip", gzip.compress(b"{}") * 2),
    "half of a gzip": ("gzip", gzip.compress(b"{}")[:-5]),
    "gzip with a wrong sum": ("gzip", gzip.compress(b"{}")[:-8] + b"\0" * 8),
    "deflate without its head": ("deflate", zlib.compress(b"{}")[2:-4]),
    "nothing, packed": ("gzip", b""),
    "br": ("br", b"\x0b\x01\x80{}\x03"),
}
NESTED = packed(gzip.compress, b" " * 9 * MB, 2)
PLAIN: Mapping[str, bytes] = {
    "depth 100,000": nested(100_000),
    "depth 100,000 of objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "depth 65": nested(65),
    "2,700,000 empty arrays": b"[" + b"[]," * 2_700_000 + b"[]]",
    "100,000 keys": json.dumps({f"k{number}": number for number in range(100_000)}).encode(),
    "100,000 keys that are one": b"{" + b",".join([b'"k":1'] * 100_000) + b"}",
    "a number of 2 MB": b"1" * 2 * MB,
    "a fraction of 1 MB": b"0." + b"1" * MB,
    "1e400": b'{"id":1e400}',
    "an exponent without end": b"1e" + b"9" * 100_000,
    "a text of 2 MB": b'"' + b"a" * 2 * MB + b'"',
    "a text of escapes": b'"' + b"\\u0000" * 200_000 + b'"',
    "a lone surrogate": b'{"id":"\\ud800","Records":"\\udfff"}',
    "NaN": b"[NaN,Infinity,-Infinity]",
    "zero bytes": b"\0" * 100_000,
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "not UTF-8": b'{"a":"\xff\xfe"}',
    "8 MB of nothing": b" " * 8 * MB,
    "nothing": b"",
    "a form of 200,000 fields": b"a=1&" * 200_000,
    "a form of escapes": b"payload=" + b"%7B" * 100_000,
    "XML": b'<!DOCTYPE a [<!ENTITY b "cc"><!ENTITY d "&b;&b;">]><a>&d;</a>',
    "50,000 empty records": b'{"Records":' + many({}, 50_000) + b"}",
    "3,000 good records": b'{"Records":' + many(S3, 3_000) + b"}",
    "20,000 good records": b'{"Records":' + many(S3, 20_000) + b"}",
    "5,000 grid events": many(GRID, 5_000),
    "a message of 65 levels within a notification": _sns(nested(65)),
    "a notification within a notification": _sns(_sns(_sns(_sns("{}")))),
    "a message of 100,000 levels in a push": _pubsub(nested(100_000)),
    "1 MB of data in a push": _pubsub(b"x" * MB),
    "an event of 1 MB": json.dumps({**EVENTBRIDGE, "detail": {"x": "y" * MB}}).encode(),
    "a key of 1 MB": json.dumps(
        {"Records": [{**S3, "s3": {"bucket": {"name": "b"}, "object": {"key": "k" * MB}}}]}
    ).encode(),
    "a key that goes up": json.dumps(
        {
            "Records": [
                {**S3, "s3": {"bucket": {"name": ".."}, "object": {"key": "..%2f..%2fetc%2fpasswd%00"}}}
            ]
        }
    ).encode(),
    "a time of the year 9999": json.dumps(
        {"Records": [{**S3, "eventTime": "9999-12-31T23:59:59.999999-23:59"}]}
    ).encode(),
    "a time before all": json.dumps({**EVENTBRIDGE, "time": "0001-01-01T00:00:00+23:59"}).encode(),
    "a time of the far future": json.dumps(
        {"id": "evt_1", "type": "a.b", "created": 10**18, "data": {}}
    ).encode(),
}
SIGNATURES = (
    b"authorization",
    b"x-hub-signature-256",
    b"x-signature",
    b"webhook-id",
    b"webhook-timestamp",
    b"webhook-signature",
    b"stripe-signature",
    b"x-slack-signature",
    b"x-slack-request-timestamp",
    b"x-shopify-hmac-sha256",
    b"x-shopify-webhook-id",
    b"x-github-delivery",
    b"aeg-event-type",
    b"ce-id",
    b"ce-specversion",
    b"x-amz-sns-message-type",
)
JSON = (b"content-type", b"application/json")
HEADERS: Mapping[str, Pairs] = {
    "every signature twice": [JSON, *((name, b"1") for name in SIGNATURES * 2)],
    "every signature empty": [JSON, *((name, b"") for name in SIGNATURES)],
    "every signature of other bytes": [JSON, *((name, bytes(range(128, 256))) for name in SIGNATURES)],
    "every signature very long": [JSON, *((name, b"v1,A=" * 400) for name in SIGNATURES)],
    "1,000 signatures in one": [JSON, *((name, b"t=1," + b"v1=ab," * 1000) for name in SIGNATURES[:7])],
    "times beyond all": [
        JSON,
        (b"webhook-id", b"a"),
        (b"webhook-timestamp", b"9" * 400),
        (b"webhook-signature", b"v1,AAAA"),
        (b"x-slack-request-timestamp", b"1e999"),
        (b"x-slack-signature", b"v0=00"),
        (b"stripe-signature", b"t=" + b"9" * 5000 + b",v1=00"),
    ],
    "times that are none": [
        JSON,
        (b"webhook-timestamp", b"-0x10"),
        (b"x-slack-request-timestamp", b"\xd9\xa1\xd9\xa2"),
        (b"stripe-signature", b"t=\xb2,t=1_0,t= 1,v1=\xb2"),
    ],
    "two content types": [JSON, (b"content-type", b"text/plain")],
    "content types of all sorts": [(b"content-type", b'application/json; charset="utf-7"; a=b;;=')],
    "two encodings": [JSON, (b"content-encoding", b"gzip"), (b"content-encoding", b"identity")],
    "a form": [(b"content-type", b"application/x-www-form-urlencoded")],
    "parts": [(b"content-type", b"multipart/form-data; boundary=" + b"b" * 70)],
    "no content type": [],
    "a token without parts": [JSON, (b"authorization", b"Bearer ...")],
    "a token of no key": [JSON, (b"authorization", b"Bearer eyJhbGciOiJub25lIn0.e30.")],
    "a token of 8 kB": [JSON, (b"authorization", b"Bearer " + b"A" * 8000 + b".e30.x")],
    "basic that is no base64": [JSON, (b"authorization", b"Basic \xff\xfe==")],
}
