"""One shard function: ours, aiokafka's (Faust's client) and its default partitioner."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from schemas.shard import murmur2, shard

pytestmark = pytest.mark.property


@given(st.binary(max_size=600))
def test_murmur2_equals_aiokafkas(data: bytes) -> None:
    """Any key hashes as in the client that Faust uses."""
    assert murmur2(data) == aiokafka_murmur2(data) & 0xFFFFFFFF


@given(st.binary(min_size=1, max_size=300), st.integers(1, 128))
def test_shard_is_the_default_partition(key: bytes, partitions: int) -> None:
    """The partition is the one aiokafka's default partitioner gives."""
    everyone = list(range(partitions))
    assert shard(key, partitions) == DefaultPartitioner()(key, everyone, everyone)


@given(st.text(max_size=100), st.integers(1, 128))
def test_text_keys_are_utf8(key: str, partitions: int) -> None:
    """Text is hashed as UTF-8."""
    assert shard(key, partitions) == shard(key.encode(), partitions)
