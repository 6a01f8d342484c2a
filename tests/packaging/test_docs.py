"""The documents: their links lead somewhere, and what is made from the code is up to date."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def anchors_of(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    found = set()
    for heading in re.findall(r"^#+ (.*)$", plain, flags=re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name) if name else page
        found = there.exists() and (
            not anchor or anchor in anchors_of(there.read_text(encoding="utf-8"))
        )
        if not found:
            broken.append(target)
    assert broken == []


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def _tool(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def test_the_table_of_modules_is_up_to_date() -> None:
    tool = _tool("module_table")
    text = tool.PAGE.read_text(encoding="utf-8")
    assert text == tool.page_with_table(), "run: python tools/module_table.py"


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    tool = _tool("cli_page")
    text = tool.PAGE.read_text(encoding="utf-8")
    assert text == tool.page(), "run: python tools/cli_page.py"
    assert "`--i-have-the-right TEXT`" in text
