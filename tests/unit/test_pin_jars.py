"""The maintainer's command that writes the list of jars."""

from pathlib import Path

import pytest

from streams.errors import BadInput
from streams.local import jars, pin

pytestmark = pytest.mark.unit


def fake_resolver(folder: Path, artifacts: dict[str, list[str]]) -> object:
    """A resolver that knows these artifacts; each file holds its own name."""

    def resolve(coordinate: str, cache: Path) -> list[tuple[str, Path]]:
        found = []
        for name in artifacts[coordinate]:
            path = folder / name.replace(":", "-")
            path.write_text(name, "utf-8")
            found.append((name, path))
        return found

    return resolve


def test_the_list_in_the_package_is_what_the_command_writes() -> None:
    """Nobody edited it by hand into another form."""
    found = jars.pinned()
    text = Path(jars.__file__).with_name("kafka-jars.json").read_text("utf-8")
    assert pin.as_document(found.kafka, found.jars) == text


def test_the_binding_follows_kafkas_log4j(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's binding is pinned in the version of log4j that Kafka brings, and nothing else of its own."""
    broker, core, binding = f"{pin.BROKER}:9.9", f"{pin.LOGGING_CORE}:2.3", f"{pin.BINDING}:2.3"
    known = {broker: [broker, core], binding: [binding, "org.other:api:1"]}
    monkeypatch.setattr(pin, "resolve", fake_resolver(tmp_path, known))
    found = pin.pin("9.9", tmp_path)
    assert [jar.coordinate for jar in found] == [broker, core, binding]
    assert found[0].bytes == len(broker)


def test_a_kafka_that_logs_otherwise_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without log4j the broker's log would be silent, so the command refuses."""
    broker = f"{pin.BROKER}:9.9"
    monkeypatch.setattr(pin, "resolve", fake_resolver(tmp_path, {broker: [broker]}))
    with pytest.raises(BadInput, match="find out how it logs"):
        pin.pin("9.9", tmp_path)
