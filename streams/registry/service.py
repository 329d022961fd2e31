"""What the registry does: Confluent's rules over the state and the log. Every call may block on the log."""

import threading
from collections.abc import Mapping
from dataclasses import replace

from schemas import compatibility
from schemas.compatibility import InvalidSchemaError, Level
from streams.registry import problem
from streams.registry.log_format import ConfigSet, HighestId, SchemaVersion, SubjectDeleted
from streams.registry.problem import RegistryProblem
from streams.registry.schema_log import SchemaLog
from streams.registry.state import LEVEL_DEFAULT, State, canonical, text_of

_ATTEMPTS_MAX = 3
VERSION_MAX = (1 << 31) - 1


class RegistryService:
    """Reads answer from memory; writes go one at a time through the log and count once read back."""

    def __init__(self, state: State, log: SchemaLog) -> None:
        self._state = state
        self._log = log
        self._changing = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether schemas can be read and registered."""
        return self._log.healthy and self._log.writable

    # --- schemas ---

    def register(self, subject: str, schema: str) -> SchemaVersion:
        """Return the version of `schema` under `subject`, written when it is new.

        A write whose outcome is unknown is looked for in the log before it is tried again, so that neither
        a version nor an id is given twice.
        """
        text = _canonical(schema)
        with self._changing:
            for attempt in range(1, _ATTEMPTS_MAX + 1):
                try:
                    return self._register_once(subject, schema, text)
                except RegistryProblem as error:
                    if error.code != 50002 or attempt == _ATTEMPTS_MAX:
                        raise
                    self._log.take_over()
        raise AssertionError("unreachable")

    def _register_once(self, subject: str, schema: str, text: str) -> SchemaVersion:
        known = self._state.find(subject, text)
        if known is not None:
            return known
        self._log.take_over()  # nothing may be judged or numbered before the log is read to its end
        known = self._state.find(subject, text)
        if known is not None:
            return known
        reasons = self._reasons(self._state.level_in_force(subject), subject, schema)
        if reasons:
            raise RegistryProblem(
                409,
                f"Schema being registered is incompatible with an earlier schema for subject '{subject}': "
                + "; ".join(reasons),
            )
        numbers = self._state.versions(subject, deleted=True)
        entry = SchemaVersion(
            subject=subject,
            version=max(numbers, default=0) + 1,
            id=self._state.id_of(text) or self._state.id_max + 1,
            schema=schema,
        )
        self._log.append(entry)
        if any(text_of(use) != text for use in self._state.uses(entry.id)):
            # Our fence holds among ourselves only; another kind of registry wrote in between.
            self._log.append(SchemaVersion(subject=subject, version=entry.version, gone=True))
            raise problem.timed_out(f"id {entry.id} was given out by another registry meanwhile")
        written = self._state.find(subject, text)
        if written is None:
            raise problem.store_failed(f"'{subject}' was written but is not what the log says now")
        return written

    def lookup(self, subject: str, schema: str, *, deleted: bool = False) -> SchemaVersion:
        """Return the version under which `schema` is registered; never registers."""
        text = _canonical(schema)
        if not self._state.versions(subject, deleted=deleted):
            raise problem.subject_not_found(subject)
        found = self._state.find(subject, text, deleted=deleted)
        if found is None:
            raise problem.schema_not_found()
        return found

    def by_id(self, schema_id: int) -> list[SchemaVersion]:
        """Return every version with this id; at least one."""
        found = self._state.uses(schema_id)
        if not found:
            raise problem.schema_not_found(f"Schema {schema_id} not found")
        return found

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """Return the names of all subjects."""
        return self._state.subjects(deleted=deleted)

    def versions(self, subject: str, *, deleted: bool = False) -> Mapping[int, SchemaVersion]:
        """Return the versions of a subject, oldest first; at least one."""
        found = self._state.versions(subject, deleted=deleted)
        if not found:
            raise problem.subject_not_found(subject)
        return found

    def version(self, subject: str, number: str, *, deleted: bool = False) -> SchemaVersion:
        """Return one version; `number` as it stands in a URL: digits, `latest` or `-1`."""
        versions = self.versions(subject, deleted=deleted)
        wanted = _version_number(number, newest=max(versions))
        if wanted not in versions:
            raise problem.version_not_found(number)
        return versions[wanted]

    def listing(self, prefix: str, *, deleted: bool, latest: bool) -> list[SchemaVersion]:
        """Return the versions of all subjects with a prefix, in order; `latest`: one of each."""
        found: list[SchemaVersion] = []
        for subject in self._state.subjects(deleted=deleted):
            if subject.startswith(prefix):
                versions = list(self._state.versions(subject, deleted=deleted).values())
                found += versions[-1:] if latest else versions
        return found

    # --- compatibility ---

    def judge(self, subject: str, schema: str, number: str | None = None) -> list[str]:
        """Return why `schema` would not fit: to one version, or to those that the level asks for."""
        _canonical(schema)
        level = self._state.level_in_force(subject)
        if number is None:
            return self._reasons(level, subject, schema)
        against = self.version(subject, number)
        return compatibility.incompatibilities(level, schema, {against.version: against.schema})

    def _reasons(self, level: Level, subject: str, schema: str) -> list[str]:
        earlier = {n: found.schema for n, found in self._state.versions(subject).items()}
        try:
            return compatibility.incompatibilities(level, schema, earlier)
        except InvalidSchemaError as error:  # an earlier version that is no Avro schema
            raise RegistryProblem(42201, f"'{subject}' cannot be compared: {error}") from error

    def level(self, subject: str | None, *, default_to_global: bool = False) -> Level:
        """Return the level set for a subject, or for all (None)."""
        own = self._state.level(subject)
        if own is None and subject is not None and not default_to_global:
            raise RegistryProblem(
                40408, f"Subject '{subject}' does not have subject-level compatibility configured"
            )
        return own or self._state.level(None) or LEVEL_DEFAULT

    def set_level(self, subject: str | None, level: str | None) -> None:
        """Set or (None) remove a level."""
        try:
            wanted = None if level is None else Level(level)
        except ValueError:
            raise RegistryProblem(
                42203,
                "Invalid compatibility level. Valid values are none, backward, forward, full, "
                "backward_transitive, forward_transitive, and full_transitive",
            ) from None
        with self._changing:
            self._log.append(ConfigSet(subject=subject, level=wanted))

    # --- deletion ---

    def delete_subject(self, subject: str, *, permanent: bool = False) -> list[int]:
        """Hide a subject, or remove a hidden one for good; return the versions."""
        with self._changing:
            self._log.take_over()
            everything = self._state.versions(subject, deleted=True)
            live = self._state.versions(subject)
            if not everything:
                raise problem.subject_not_found(subject)
            if not permanent:
                if not live:
                    raise RegistryProblem(
                        40404,
                        f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently",
                    )
                self._log.append(SubjectDeleted(subject=subject, version=max(everything)))
                return list(live)
            if live:
                raise RegistryProblem(
                    40405, f"Subject '{subject}' was not deleted first before being permanently deleted"
                )
            self._remove(subject, list(everything))
            if self._state.level(subject) is not None:
                self._log.append(ConfigSet(subject=subject, level=None))
            return list(everything)

    def delete_version(self, subject: str, number: str, *, permanent: bool = False) -> int:
        """Hide a version, or remove a hidden one for good; return its number."""
        with self._changing:
            self._log.take_over()
            found = self.version(subject, number, deleted=True)
            if not permanent:
                if found.deleted:
                    raise RegistryProblem(
                        40406,
                        f"Subject '{subject}' Version {found.version} was soft deleted. "
                        "Set permanent=true to delete permanently",
                    )
                self._log.append(replace(found, deleted=True))
            elif not found.deleted:
                raise RegistryProblem(
                    40407,
                    f"Subject '{subject}' Version {found.version} was not deleted first "
                    "before being permanently deleted",
                )
            else:
                self._remove(subject, [found.version])
            return found.version

    def _remove(self, subject: str, versions: list[int]) -> None:
        # Compaction will forget the versions; the ids they had must not be given out again.
        self._log.append(HighestId(id=self._state.id_max))
        for version in versions:
            self._log.append(SchemaVersion(subject=subject, version=version, gone=True))


def _canonical(schema: str) -> str:
    try:
        compatibility.parse(schema)
        return canonical(schema)
    except (InvalidSchemaError, ValueError, RecursionError) as error:
        raise RegistryProblem(42201, f"Invalid schema: {error}") from error


def _version_number(number: str, *, newest: int) -> int:
    if number in {"latest", "-1"}:
        return newest
    if number.isascii() and number.isdigit() and 1 <= int(number[:11]) <= VERSION_MAX:
        return int(number)
    raise RegistryProblem(
        42202,
        f"The specified version '{number[:40]}' is not a valid version id. "
        'Allowed values are between [1, 2^31-1] and the string "latest"',
    )
