"""README and docs blocks are run: Python executes, TOML is valid settings, command lines exist."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(language: str) -> list[tuple[str, str]]:
    """All (page name, text) blocks of a language."""
    return [
        (page.name, text)
        for page in PAGES
        for name, text in BLOCK.findall(page.read_text("utf-8"))
        if name == language
    ]


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_blocks_run(page: str, text: str, tmp_path: Path) -> None:
    """Each Python block of README and docs runs as a script of its own, without a broker."""
    script = tmp_path / "block.py"
    script.write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 0, f"{page}: {done.stderr}"


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_toml_blocks_are_settings(page: str, text: str) -> None:
    """Each TOML block is accepted by the settings."""
    from streams.settings import Settings

    settings = Settings(**tomllib.loads(text))
    assert settings.model_fields_set, f"{page}: the block sets nothing"


def commands() -> list[tuple[str, str]]:
    """Every `ensue …` line of the console blocks."""
    return [
        (page, line.partition("#")[0].strip())
        for page, text in blocks("console")
        for line in text.splitlines()
        if line.startswith("ensue ")
    ]


@pytest.mark.parametrize(("page", "line"), commands())
def test_command_lines_exist(page: str, line: str) -> None:
    """Each command line shown parses: the command, its options and the number of its arguments."""
    from streams.cli.app import app

    group = typer.main.get_command(app)
    name, *arguments = shlex.split(line)[1:]
    assert name in group.commands, f"{page}: no command {name}"  # type: ignore[attr-defined]
    command = group.commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, arguments, resilient_parsing=False)
    assert context.command is command


@pytest.mark.parametrize(
    ("page", "line"),
    [(p, line) for p, t in blocks("console") for line in t.splitlines() if line.startswith("make ")],
)
def test_make_targets_exist(page: str, line: str) -> None:
    """Each make target shown is in the Makefile."""
    target = line.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), (
        f"{page}: no target {target}"
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link of a page names a file that is there."""
    broken = [t for t in LINK.findall(page.read_text("utf-8")) if not (page.parent / t.strip()).exists()]
    assert not broken, f"{page.name}: {broken}"
