"""Loading a user's flow file by path, under names that cannot collide with ours or with another file's.

A file `etl/load.py` becomes the module `flows.user.load`. Its folder is put at the end of `sys.path`, so that
it can import its neighbours while no file of the user hides a package of ours.
"""

import importlib.util
import linecache
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.abc import SourceLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from flows import failure
from flows.errors import LoadError
from flows.flow_decorator import Flow

RESERVED = "flows.user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A flow file in memory."""

    module: ModuleType
    file: str  # absolute
    version: str

    def flow(self, name: str) -> Flow[..., Any]:
        """Return the flow of this name; raises LoadError."""
        for one in flows_of(self.module):
            if one.name == name:
                return one
        names = ", ".join(one.name for one in flows_of(self.module)) or "none"
        raise LoadError(f"{self.file} has no flow {name!r}; it has {names}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a deployment publishes of one flow: plain values only."""

    flow: str
    flow_version: str
    flow_definition: dict[str, Any]
    triggers: tuple[
        dict[str, Any], ...
    ]  # Trigger JSON, each with its name; empty when nothing starts the flow
    event_schemas: Mapping[str, str] = field(default_factory=dict)  # event name → Avro schema


def version_of(content: bytes) -> str:
    """Return the version of a flow file: 16 hex digits of a hash of its bytes."""
    return blake2b(content, digest_size=8).hexdigest()


def load(path: str | Path) -> Loaded:
    """Return the module of a flow file, executed anew.

    Raises:
        LoadError: It is not there, another file of the same stem is loaded, or its own code fails; then
            `traceback` has the user's frames.

    """
    file = Path(path).resolve()
    name = f"{RESERVED}.{file.stem}"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise LoadError(f"flow file {file} cannot be read: {error.strerror or error}") from None
    other = sys.modules.get(name)
    if other is not None and other.__file__ != str(file):
        raise LoadError(
            f"flow files {other.__file__} and {file} have one stem, {file.stem}, and so would "
            "have one module name; rename one of them"
        )
    _reserve()
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    module = _module(name, file, content)
    sys.modules[name] = module
    # What was loaded, not what lies there later: a traceback shows the lines that ran.
    lines = content.decode("utf-8", "replace").splitlines(keepends=True)
    linecache.cache[str(file)] = (len(content), None, lines, str(file))
    try:
        _Content(file, content).exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _restore(name, other)
        told = failure.describe(error)
        raise LoadError(
            f"flow file {file} cannot be loaded: {told['type']}: {told['message']}",
            traceback=told["traceback"],
        ) from None
    return Loaded(module=module, file=str(file), version=version_of(content))


def collect(loaded: Loaded) -> list[Definition]:
    """Return what a deployment publishes of a file; raises LoadError when two flows have one name."""
    found = [
        Definition(
            flow=one.name,
            flow_version=loaded.version,
            flow_definition=one.definition(loaded.file),
            triggers=tuple(one.triggers()),
            event_schemas=one.event_schemas(),
        )
        for one in flows_of(loaded.module)
    ]
    for name in {one.flow for one in found}:
        if sum(one.flow == name for one in found) > 1:
            raise LoadError(f"{loaded.file} has two flows named {name}; a flow's name is its identity")
    return found


def flows_of(module: ModuleType) -> list[Flow[..., Any]]:
    """Return the flows that a module defines itself, in their order; imported ones belong elsewhere."""
    own = [one for one in vars(module).values() if isinstance(one, Flow)]
    own = [one for one in own if one.function.__module__ == module.__name__]
    return list({id(one): one for one in own}.values())


class _Content(SourceLoader):
    """Executes exactly the bytes whose hash is the version, and leaves no bytecode behind."""

    def __init__(self, file: Path, content: bytes) -> None:
        self._file = str(file)
        self._content = content

    def get_filename(self, fullname: str) -> str:
        del fullname
        return self._file

    def get_data(self, path: str | bytes) -> bytes:
        if path != self._file:
            raise OSError(f"{path!r} is not cached")
        return self._content


def _module(name: str, file: Path, content: bytes) -> ModuleType:
    loader = _Content(file, content)
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    if spec is None:
        raise LoadError(f"{file} is no Python file")
    return importlib.util.module_from_spec(spec)


def _reserve() -> None:
    if RESERVED not in sys.modules:
        package = ModuleType(RESERVED, "Flow files of the user, loaded by path.")
        package.__path__ = []
        sys.modules[RESERVED] = package


def _restore(name: str, other: ModuleType | None) -> None:
    if other is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = other
