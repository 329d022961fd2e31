"""The registry's rules over an in-memory log, with the faults that a log can have."""

import json
import threading
import time
from typing import Any

import pytest

from streams.errors import Fenced, Transport
from streams.kafka.memory import MemoryLog
from streams.kafka.record import Outgoing
from streams.registry.log_format import SchemaVersion, encode
from streams.registry.problem import RegistryProblem
from tests.registry_in_memory import TOPIC, InMemory, registry

pytestmark = pytest.mark.unit


def schema(*names: str, default: bool = True) -> str:
    fields: list[dict[str, Any]] = [{"name": name, "type": "int"} for name in names]
    if default:
        fields = [{**field, "default": 0} for field in fields]
    return json.dumps({"type": "record", "name": "R", "fields": fields})


def code(error: pytest.ExceptionInfo[RegistryProblem]) -> int:
    return error.value.code


def test_registering_again_gives_the_same_id() -> None:
    """A schema has one id, whatever its spelling and under whichever subject; versions count per subject."""
    with registry() as made:
        first = made.service.register("a", schema("x"))
        again = made.service.register("a", json.dumps(json.loads(schema("x")), indent=4))
        other = made.service.register("b", schema("x"))
        second = made.service.register("a", schema("x", "y"))
    assert (first.id, first.version) == (again.id, again.version) == (1, 1)
    assert (other.id, other.version) == (1, 1)
    assert (second.id, second.version) == (2, 2)


def test_an_incompatible_schema_is_refused_with_field_and_reason() -> None:
    """BACKWARD holds unless a subject says otherwise; the refusal names the field."""
    with registry() as made:
        made.service.register("a", schema("x"))
        with pytest.raises(
            RegistryProblem, match=r"R\.y: the new schema cannot read data of version 1"
        ) as caught:
            made.service.register("a", schema("x", "y", default=False))
        assert code(caught) == 409
        made.service.set_level("a", "NONE")
        assert made.service.register("a", schema("x", "y", default=False)).version == 2


def test_a_restart_finds_everything() -> None:
    """A new process over the same log knows subjects, ids, levels and deletions."""
    with registry() as made:
        made.service.register("a", schema("x"))
        made.service.register("b", schema("y"))
        made.service.set_level("a", "FULL")
        made.service.delete_subject("b")
        log = made.log
    with registry(log) as again:
        assert again.service.subjects() == ["a"]
        assert again.service.subjects(deleted=True) == ["a", "b"]
        assert again.service.level("a") == "FULL"
        assert again.service.register("c", schema("z")).id == 3


def test_ids_do_not_repeat_after_removal_and_compaction() -> None:
    """The highest id is remembered even when compaction forgets every schema that had it."""
    with registry() as made:
        made.service.register("a", schema("x"))
        made.service.register("b", schema("y"))
        made.service.delete_subject("b")
        made.service.delete_subject("b", permanent=True)
        log = made.log
    with registry(compacted(log)) as again:
        assert again.service.subjects(deleted=True) == ["a"]
        assert again.service.register("c", schema("z")).id == 3
        assert again.service.register("b", schema("y")).id == 4


def compacted(log: MemoryLog) -> MemoryLog:
    """The log with only the newest record of a key, tombstones gone."""
    newest = {record.key: record for record in log.records(TOPIC, 0)}
    kept = MemoryLog({TOPIC: 1})
    for record in sorted(newest.values(), key=lambda record: record.offset):
        if record.value is not None:
            kept.append(Outgoing(TOPIC, 0, record.key, record.value))
    return kept


@pytest.mark.parametrize("lands", [True, False], ids=["in the log", "lost"])
def test_an_unanswered_write_is_looked_for_before_it_is_repeated(lands: bool) -> None:
    """When the acknowledgement is lost, the schema ends up with one id and one version either way."""
    with registry() as made:
        made.failures.append((Transport("no answer"), lands))
        found = made.service.register("a", schema("x"))
        assert (found.id, found.version) == (1, 1)
        assert len(made.log.records(TOPIC, 0)) == 1
        assert made.opened == 2  # the lost writer was shut out before the log was read to its end
        assert made.service.register("a", schema("x", "y")).id == 2


def test_a_crash_between_write_and_answer_gives_no_id_twice() -> None:
    """A second process numbers on from what the first wrote without answering."""
    with registry() as made:
        made.failures += [(Transport("killed"), True)] * 3
        with pytest.raises(RegistryProblem):
            made.service.set_level("a", "FULL")
        log = made.log
        log.append(foreign("a", 7, schema("x")))
    with registry(log) as again:
        assert again.service.register("b", schema("z")).id == 8
        assert again.service.register("a", schema("x")).id == 7


def foreign(subject: str, schema_id: int, text: str) -> Outgoing:
    """A record that another process wrote."""
    key, value = encode(SchemaVersion(subject=subject, version=1, id=schema_id, schema=text))
    return Outgoing(TOPIC, 0, key, value)


def test_an_id_that_another_kind_of_registry_took_is_not_given_again() -> None:
    """A clash that our fence cannot prevent is seen when the write is read back, and another id is drawn."""
    with registry() as made:

        def intrude() -> None:
            made.before_write = lambda: None
            made.log.append(foreign("theirs", 1, schema("q")))

        made.before_write = intrude
        found = made.service.register("a", schema("x"))
        assert (found.id, found.version) == (2, 1)
        assert [use.subject for use in made.service.by_id(1)] == ["theirs"]
        log = made.log
    with registry(log) as again:
        assert again.service.register("a", schema("x")).id == 2


def test_nothing_is_answered_that_was_not_read_back() -> None:
    """With a reader that stands still a write is an error, never a success."""
    with registry(timeout_s=0.3) as made:
        made.schema_log.take_over()
        made.reader.pause([(TOPIC, 0)])
        with pytest.raises(RegistryProblem) as caught:
            made.service.register("a", schema("x"))
        assert code(caught) == 50002
        made.reader.resume([(TOPIC, 0)])
        assert made.service.register("a", schema("x")).id == 1


def test_a_registry_that_was_shut_out_only_reads() -> None:
    """After another process took the topic over this one refuses writes and goes on reading."""
    with registry() as made:
        made.service.register("a", schema("x"))
        made.failures.append((Fenced("taken over"), False))
        for _ in range(2):
            with pytest.raises(RegistryProblem) as caught:
                made.service.register("b", schema("y"))
            assert code(caught) == 50003
        assert made.service.subjects() == ["a"]
        assert made.opened == 1


def test_foreign_records_are_left_out() -> None:
    """Bytes that are no registry record are passed over and do not stop the reading."""
    log = MemoryLog({TOPIC: 1})
    noise = [
        (b"x", b"y"),
        (None, None),
        (b'{"keytype":"SCHEMA"}', b"{}"),
        (b"7", b"7"),
        (b'{"keytype":"NOOP"}', None),
    ]
    for key, value in [*noise, (b'{"keytype":"MODE","magic":0}', b'{"mode":"IMPORT"}')]:
        log.append(Outgoing(TOPIC, 0, key, value))
    log.append(foreign("no-json", 3, "{"))
    with registry(log) as made:
        assert made.service.register("a", schema("x")).id == 4
        assert made.service.by_id(3)[0].schema == "{"


def test_concurrent_registrations_give_one_id_a_schema() -> None:
    """Eight threads registering the same twenty schemas leave twenty versions with twenty ids."""
    with registry() as made:
        found: list[tuple[int, int]] = []

        def work() -> None:
            for number in range(20):
                entry = made.service.register(f"s{number}", schema(f"f{number}"))
                found.append((number, entry.id))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 160
        assert len(set(found)) == 20
        assert {schema_id for _, schema_id in found} == set(range(1, 21))
        assert len(made.log.records(TOPIC, 0)) == 20


def test_deletion_is_soft_first() -> None:
    """Hidden versions keep their id and can come back; only what is hidden can be removed."""
    with registry() as made:
        service = made.service
        service.register("a", schema("x"))
        with pytest.raises(RegistryProblem) as caught:
            service.delete_subject("a", permanent=True)
        assert code(caught) == 40405
        assert service.delete_subject("a") == [1]
        with pytest.raises(RegistryProblem) as caught:
            service.versions("a")
        assert code(caught) == 40401
        assert service.by_id(1)[0].subject == "a"
        assert (service.register("a", schema("x")).id, service.versions("a").keys()) == (1, {2})
        assert service.delete_version("a", "2") == 2
        assert service.delete_subject("a", permanent=True) == [1, 2]
        with pytest.raises(RegistryProblem) as caught:
            service.by_id(1)
        assert code(caught) == 40403


def test_the_service_is_ready_only_with_a_writer() -> None:
    """Ready means: the topic is read and its writer is ours."""
    made = InMemory()
    assert not made.service.ready
    with registry() as started:
        assert not started.service.ready
        started.schema_log.take_over()
        assert started.service.ready


def test_stopping_does_not_wait_for_what_will_not_be_read() -> None:
    """A write that waits for its read-back ends as an error as soon as the registry is stopped."""
    with registry(timeout_s=30) as made:
        made.schema_log.take_over()
        made.reader.pause([(TOPIC, 0)])
        refused: list[int] = []

        def write() -> None:
            try:
                made.service.set_level("a", "FULL")
            except RegistryProblem as error:
                refused.append(error.code)

        waiting = threading.Thread(target=write)
        waiting.start()
        while not made.log.records(TOPIC, 0):
            time.sleep(0.01)
        began = time.monotonic()
        made.schema_log.close()
        waiting.join()
        assert refused == [50002]
        assert time.monotonic() - began < 5
