"""Rules of the house as tests; each message names the remedy."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.cli.parts import PARTS

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "flows", "streams")
CODE = (*PACKAGES, "tests", "bench", "examples")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
# Modules that a person or a process starts, so nothing imports them.
ENTRY_POINTS = {"streams.cli.main", "streams.runs.child", "schemas.release", "streams.local.pin"}
ENTRY_POINTS |= {f"streams.wiring.{part}" for part in PARTS}
# For people who write tests: flows by hand, sources and stores against a log in memory.
FOR_TESTS = {"flows.testing", "streams.kafka.memory"}
BANNED_CALLS = {
    "uuid4": "derive the id (schemas.identity) or draw a UUIDv7 (schemas.new_id)",
    "eval": "parse the text instead",
    "exec": "parse the text instead",
    "utcnow": "use datetime.now(UTC)",
    "breakpoint": "remove it",
}
LEFTOVER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root)/\w")


def python_files(folders: tuple[str, ...] = CODE) -> Iterator[Path]:
    """Every Python file below the folders."""
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """The dotted name of a file below the root."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_file_is_longer_than_the_bound() -> None:
    """No Python file has more than 400 lines."""
    long = {
        str(p.relative_to(ROOT)): n
        for p in python_files()
        if (n := len(p.read_text("utf-8").splitlines())) > FILE_LINES_MAX
    }
    assert not long, f"split these by concept: {long}"


def test_no_function_is_longer_than_the_bound() -> None:
    """No function has more than 60 lines."""
    long = {}
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = lines
    assert not long, f"take named steps out of these: {long}"


def test_no_banned_call_is_made() -> None:
    """Calls that have a better replacement here are not made."""
    found = []
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if name in BANNED_CALLS and not (
                    name in {"eval", "exec"} and isinstance(node.func, ast.Attribute)
                ):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}: {BANNED_CALLS[name]}")
    assert not found, "\n".join(found)


def test_the_core_draws_no_clock() -> None:
    """flows.core calls no now() and draws no random."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files(("flows/core",))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"now", "today", "time", "random"}
    ]
    assert not found, f"take the time as an argument: {found}"


def test_no_module_is_dead() -> None:
    """Every module is imported by another one or is an entry point."""
    imported: set[str] = set()
    for path in python_files(PACKAGES):
        package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    base = ".".join(
                        [*package.split(".")[: len(package.split(".")) - node.level + 1], base]
                    ).strip(".")
                imported.add(base)
                imported.update(f"{base}.{alias.name}" for alias in node.names)
    dead = [
        module_name(p)
        for p in python_files(PACKAGES)
        if p.name != "__init__.py" and module_name(p) not in imported | ENTRY_POINTS | FOR_TESTS
    ]
    assert not dead, f"nothing imports these; wire them in or delete them: {dead}"


def test_nothing_is_left_over() -> None:
    """No leftover marker stands in the code; open work lives in issues."""
    found = [
        f"{p.relative_to(ROOT)}:{i}"
        for p in python_files()
        for i, line in enumerate(p.read_text("utf-8").splitlines(), 1)
        if LEFTOVER.search(line)
    ]
    assert not found, f"do it now or write an issue: {found}"


def test_no_path_of_a_machine_is_committed() -> None:
    """No file carries an absolute path of the machine it was written on."""
    suffixes = {".py", ".md", ".toml", ".yml", ".json", ".avsc", ".sql", ".txt", ""}
    found = [
        f"{p.relative_to(ROOT)}:{i}"
        for p in tracked_files()
        if p.suffix in suffixes and p.name != "test_tidy.py"
        for i, line in enumerate(p.read_text("utf-8", "replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not found, f"make these relative: {found}"


def tracked_files() -> list[Path]:
    """Files of the project, without environments, caches and data."""
    skip = {".venv", ".git", ".ensue", ".mypy_cache", ".ruff_cache", ".hypothesis", "__pycache__", "results"}
    return [p for p in ROOT.rglob("*") if p.is_file() and not skip & set(p.relative_to(ROOT).parts)]


def test_every_test_states_its_fact() -> None:
    """Every test function has a docstring and an assertion or an expectation."""
    found = []
    for path in python_files(("tests",)):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if is_function and node.name.startswith("test_") and not ast.get_docstring(node):
                found.append(
                    f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: state the fact in a docstring"
                )
    assert not found, "\n".join(found)


def test_the_lock_has_hashes_and_no_registry_address() -> None:
    """Each requirement of the lock carries a hash, and no line names an index."""
    text = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)
