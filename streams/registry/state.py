"""What the topic `_schemas` says, folded into memory. Thread-safe; only the log's reader applies."""

import contextlib
import json
import threading
from collections.abc import Mapping
from dataclasses import replace

from schemas.compatibility import Level
from streams.registry.log_format import ConfigSet, Entry, HighestId, SchemaVersion, SubjectDeleted

LEVEL_DEFAULT = Level.BACKWARD


def canonical(text: str) -> str:
    """Return a schema's JSON text in one spelling, so that spaces and the order of keys do not count."""
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def text_of(entry: SchemaVersion) -> str:
    """Return what identifies a version's schema; other kinds than Avro, and what is no JSON, as it stands."""
    if entry.kind == "AVRO":
        with contextlib.suppress(ValueError, RecursionError):
            return canonical(entry.schema)
    return f"{entry.kind} {entry.schema}"


class State:
    """Subjects, versions, ids and levels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subjects: dict[str, dict[int, SchemaVersion]] = {}
        self._by_id: dict[int, dict[tuple[str, int], SchemaVersion]] = {}
        self._ids: dict[str, int] = {}  # canonical text → id
        self._levels: dict[str | None, Level] = {}
        self._id_max = 0

    def apply(self, entry: Entry) -> None:
        """Take the log's next entry in."""
        with self._lock:
            match entry:
                case SchemaVersion(gone=True):
                    self._remove(entry.subject, entry.version)
                case SchemaVersion():
                    self._remove(entry.subject, entry.version)
                    self._put(entry)
                case SubjectDeleted():
                    for version, found in list(self._subjects.get(entry.subject, {}).items()):
                        if version <= entry.version:
                            self._put(replace(found, deleted=True))
                case ConfigSet(level=None):
                    self._levels.pop(entry.subject, None)
                case ConfigSet(level=Level() as level):
                    self._levels[entry.subject] = level
                case HighestId():
                    self._id_max = max(self._id_max, entry.id)

    def _put(self, entry: SchemaVersion) -> None:
        self._subjects.setdefault(entry.subject, {})[entry.version] = entry
        self._by_id.setdefault(entry.id, {})[entry.subject, entry.version] = entry
        self._id_max = max(self._id_max, entry.id)
        self._ids.setdefault(text_of(entry), entry.id)

    def _remove(self, subject: str, version: int) -> None:
        entry = self._subjects.get(subject, {}).pop(version, None)
        if entry is None:
            return
        if not self._subjects[subject]:
            del self._subjects[subject]
        uses = self._by_id[entry.id]
        del uses[subject, version]
        if not uses:
            del self._by_id[entry.id]
        text = text_of(entry)
        if self._ids.get(text) == entry.id and not any(text_of(use) == text for use in uses.values()):
            del self._ids[text]

    @property
    def id_max(self) -> int:
        """The largest id ever given out."""
        return self._id_max

    def subjects(self, *, deleted: bool = False) -> list[str]:
        """Names of subjects with a version that is not deleted, or with any."""
        with self._lock:
            return sorted(
                name
                for name, versions in self._subjects.items()
                if deleted or any(not found.deleted for found in versions.values())
            )

    def versions(self, subject: str, *, deleted: bool = False) -> Mapping[int, SchemaVersion]:
        """Versions of a subject, oldest first; empty when there is none."""
        with self._lock:
            found = sorted(self._subjects.get(subject, {}).items())
        return {number: entry for number, entry in found if deleted or not entry.deleted}

    def uses(self, schema_id: int) -> list[SchemaVersion]:
        """Every version that has this id, deleted ones included; empty when the id is unknown."""
        with self._lock:
            return sorted(
                self._by_id.get(schema_id, {}).values(), key=lambda found: (found.subject, found.version)
            )

    def find(self, subject: str, text: str, *, deleted: bool = False) -> SchemaVersion | None:
        """The newest version of `subject` with this canonical text."""
        for entry in reversed(list(self.versions(subject, deleted=deleted).values())):
            if text_of(entry) == text:
                return entry
        return None

    def id_of(self, text: str) -> int | None:
        """The id of a canonical text, under whichever subject."""
        with self._lock:
            return self._ids.get(text)

    def level(self, subject: str | None) -> Level | None:
        """The level set for a subject itself, or for all (None); None when it is not set."""
        with self._lock:
            return self._levels.get(subject)

    def level_in_force(self, subject: str) -> Level:
        """The level that a new version of `subject` has to meet."""
        return self.level(subject) or self.level(None) or LEVEL_DEFAULT
