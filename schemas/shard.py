"""The one shard function: murmur2 as Java's and Faust's default partitioner computes it.

librdkafka's default partitioner differs, so every producer gives the partition explicitly.
"""

from struct import Struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_WORDS = {n: Struct(f"<{n}I").unpack_from for n in range(64)}


def murmur2(data: bytes) -> int:
    """Hash `data` to an unsigned 32-bit number, equal to `org.apache.kafka.common.utils.Utils.murmur2`."""
    length = len(data)
    h = _SEED ^ length
    count = length >> 2
    unpack = _WORDS[count] if count < len(_WORDS) else Struct(f"<{count}I").unpack_from
    for word in unpack(data):
        k = word * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    rest = length & 3
    if rest:
        h ^= int.from_bytes(data[length - rest :], "little")
        h = h * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


def shard(key: bytes | str, partitions: int) -> int:
    """Return the partition of `key` among `partitions`; text is hashed as UTF-8."""
    data = key.encode() if isinstance(key, str) else key
    return (murmur2(data) & 0x7FFFFFFF) % partitions
