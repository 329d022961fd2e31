"""Every reason that the code gives is in the enum, and every one in the enum is given."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.dead_letter import Reason, Stage
from streams.gateway.dead_letter import dead_letter
from tests.dead_letter_guard import letters_say_why

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[2]
ROOMS = ("agents", "gateway", "router", "runs", "sources", "store")
FILES = [ROOT / "schemas/codec.py", *(p for room in ROOMS for p in (ROOT / "streams" / room).rglob("*.py"))]


def literals(name: str) -> Iterator[tuple[str, str]]:
    """Every text that is passed or assigned as `name`, with its place."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values: list[ast.expr] = []
            if isinstance(node, ast.keyword) and node.arg == name:
                values = [node.value]
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name) and target.id == name:
                        values.append(node.value)
                    elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                        pairs = zip(target.elts, node.value.elts, strict=True)
                        values += [v for t, v in pairs if isinstance(t, ast.Name) and t.id == name]
            for value in values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value, f"{path.relative_to(ROOT)}:{value.lineno}"


def test_reasons_given_are_in_the_enum() -> None:
    """No refusal has a reason that nobody listed."""
    strange = {place: text for text, place in literals("reason") if text not in set(Reason)}
    assert not strange, f"add these to schemas.dead_letter.Reason, or use one that is there: {strange}"


def test_stages_given_are_in_the_enum() -> None:
    """No dead letter names a stage that nobody listed."""
    strange = {place: text for text, place in literals("stage") if text not in set(Stage)}
    assert not strange, f"add these to schemas.dead_letter.Stage: {strange}"


def test_no_reason_is_unknown() -> None:
    """A reason says something."""
    assert "unknown" not in set(Reason)


@pytest.mark.parametrize("reason", ["unknown", "", "Malformed_json"])
def test_a_letter_without_a_listed_reason_fails_its_test(reason: str) -> None:
    """The guard around every test sees what is made while the code runs, not only what stands in it."""
    with pytest.raises(AssertionError, match="do not say why"), letters_say_why():
        dead_letter(b"x", source="shop", reason=reason, error="no idea")
    with letters_say_why():
        dead_letter(b"x", source="shop", reason=Reason.MALFORMED_JSON, error="it ends too early")
