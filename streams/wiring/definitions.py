"""The triggers log, followed and compiled, for router and worker."""

from schemas.codec import Codec
from streams.catalog.compiled import CompiledDefinitions
from streams.catalog.follower import Follower
from streams.catalog.log import KafkaDefinitionsLog
from streams.settings import Settings
from streams.wiring.common import patiently, topics_of


def follow_definitions(settings: Settings, codec: Codec) -> tuple[Follower, CompiledDefinitions]:
    """Return a running follower, at the end of what is there now, and its definitions; close the follower."""

    def start() -> Follower:
        follower = Follower(KafkaDefinitionsLog(settings.kafka, topics_of(settings).triggers.name), codec)
        follower.start()
        return follower

    follower = patiently(start, "the triggers log")
    return follower, CompiledDefinitions(follower.catalog)
