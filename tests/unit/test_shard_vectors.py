"""murmur2 as Java's client computes it."""

import pytest

from schemas.shard import murmur2

pytestmark = pytest.mark.unit

# From Apache Kafka's own UtilsTest, signed 32-bit.
VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize("key", VECTORS)
def test_murmur2_gives_kafkas_own_vectors(key: str) -> None:
    """The vectors of Kafka's test suite hold."""
    assert murmur2(key.encode()) == VECTORS[key] & 0xFFFFFFFF
