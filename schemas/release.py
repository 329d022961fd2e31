"""Released schema versions under schemas/avro/history/NAME/N.avsc: what data in some log may look like.

`python -m schemas.release` adds the current .avsc files that differ from their newest version, and refuses
those that could not read what was released before. `make check` asks `problems()`.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from schemas import avro_schema, compatibility
from schemas.compatibility import Level

COMMAND = "python -m schemas.release"
HISTORY = Path(__file__).parent / "avro" / "history"
_FIRST_FIELDS = (("id", {"type": "string", "logicalType": "uuid"}), ("event", "string"))

History = Mapping[int, str]  # version → JSON text


def history(name: str, folder: Path = HISTORY) -> dict[int, str]:
    """Return the released versions of a schema, oldest first."""
    files = sorted((folder / name).glob("*.avsc"), key=lambda file: int(file.stem))
    return {int(file.stem): file.read_text("utf-8") for file in files}


def problems(name: str, current: str, released: History) -> list[str]:
    """Return why the schema text `current` may not stand beside its released versions; empty when it may."""
    found = breaking(name, current, released)
    if not released or json.loads(released[max(released)]) != json.loads(current):
        found.append(
            f"{name}.avsc differs from its newest released version: run `{COMMAND}` and commit the new file"
        )
    if released and sorted(released) != list(range(1, len(released) + 1)):
        found.append(
            f"{name}: released versions must be 1, 2, 3 …, found {sorted(released)}: none may be removed"
        )
    return found


def breaking(name: str, current: str, released: History) -> list[str]:
    """Return what data of released versions would lose, each with field and reason."""
    found = first_fields(f"{name}.avsc", current)
    for version, text in released.items():
        found += first_fields(f"{name} version {version}", text)
    found += compatibility.incompatibilities(Level.BACKWARD_TRANSITIVE, current, released)
    for text in released.values():
        found += [line for line in compatibility.changed_meanings(current, text) if line not in found]
    return found


def first_fields(what: str, text: str) -> list[str]:
    """Return a problem unless `id` (uuid text), then `event` stand first: readers peek them off the bytes."""
    fields: Sequence[Mapping[str, object]] = json.loads(text)["fields"]
    start = tuple((field["name"], field["type"]) for field in fields[:2])
    if start == _FIRST_FIELDS:
        return []
    return [
        f"{what}: its first two fields must be id (string, logicalType uuid) and event (string), not {start}"
    ]


def release(folder: Path = HISTORY) -> tuple[list[Path], list[str]]:
    """Write every changed schema as its next version; return the files and why others were refused."""
    written: list[Path] = []
    refused: list[str] = []
    for name in avro_schema.names():
        current, released = avro_schema.text(name), history(name, folder)
        if released and json.loads(released[max(released)]) == json.loads(current):
            continue
        reasons = breaking(name, current, released)
        refused += reasons
        if not reasons:
            file = folder / name / f"{len(released) + 1}.avsc"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(json.loads(current), indent=2) + "\n", "utf-8")
            written.append(file)
    return written, refused


def main() -> int:
    """Release; print what was done; return 1 when something was refused."""
    written, refused = release()
    sys.stdout.writelines(f"released {file.parent.name} version {file.stem}\n" for file in written)
    sys.stderr.writelines(f"refused: {reason}\n" for reason in refused)
    if not written and not refused:
        sys.stdout.write("nothing new: every schema equals its newest released version\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
