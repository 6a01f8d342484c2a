"""The documents in Chinese: every user page is there and says what the English one does."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from facepick.cli.main import parser_for
from facepick.errors import UserInputError

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
GENERATED = {"cli.md"}
PAIRS = {
    "README_CN.md": (ROOT / "README.md", ROOT / "README_CN.md"),
    **{page.name: (DOCS / page.name, page) for page in sorted((DOCS / "zh").glob("*.md"))},
}
pairs = pytest.mark.parametrize(("english", "chinese"), PAIRS.values(), ids=PAIRS)

COMMAND = re.compile(r"(?:[AB]\$ )?(facepick .*)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands_of(text: str) -> list[str]:
    """Command lines of the code blocks, without comments and with continued lines joined."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, flags=re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [match[1] for line in lines if (match := COMMAND.fullmatch(line.strip()))]
    return [" ".join(re.split(r"\s#", line)[0].split()) for line in found]


def parses(command: str) -> bool:
    words = shlex.split(command)[1:]
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            parser_for(words).parse_args(words)
        except (SystemExit, UserInputError):
            return False
    return True


def test_every_user_page_is_there_in_chinese() -> None:
    of_users = text_of(DOCS / "README.md").split("How it works:")[0]
    names = set(re.findall(r"^\| \[([\w-]+\.md)\]", of_users, flags=re.M)) - GENERATED
    assert len(names) > 10
    assert names <= {page.name for page in (DOCS / "zh").glob("*.md")}
    index = text_of(DOCS / "zh" / "README.md")
    assert [name for name in sorted(names) if f"({name})" not in index] == []
    assert "(zh/README.md)" in text_of(DOCS / "README.md")


@pairs
def test_it_names_its_original(english: Path, chinese: Path) -> None:
    address = english.name if english.parent == chinese.parent else f"../{english.name}"
    assert f"[English]({address})" in text_of(chinese)


@pairs
def test_its_commands_are_the_originals_or_parse(english: Path, chinese: Path) -> None:
    known = set(commands_of(text_of(english)))
    strange = [c for c in commands_of(text_of(chinese)) if c not in known and not parses(c)]
    assert strange == []


@pairs
def test_its_code_is_the_originals(english: Path, chinese: Path) -> None:
    code = r"^```(?:toml|python|bash)\n.*?^```"
    known = re.findall(code, text_of(english), flags=re.M | re.S)
    found = re.findall(code, text_of(chinese), flags=re.M | re.S)
    assert [block for block in found if block not in known] == []


@pairs
def test_its_options_files_and_hashes_exist(english: Path, chinese: Path) -> None:
    known = text_of(english) + text_of(DOCS / "cli.md")
    quoted = r"--[a-z][a-z-]+|[0-9a-f]{64}|[\w.-]+\.(?:onnx|pth|pt|tflite|model|dat|xml)\b"
    assert [word for word in re.findall(quoted, text_of(chinese)) if word not in known] == []


@pairs
def test_its_figures_are_the_originals(english: Path, chinese: Path) -> None:
    """Decimals, which neither language writes as words."""
    figure = r"\d+\.\d+"
    known = set(re.findall(figure, text_of(english)))
    assert set(re.findall(figure, text_of(chinese))) <= known


def test_what_it_quotes_stands_on_the_page() -> None:
    words = json.loads(text_of(ROOT / "ui" / "facepick_ui" / "locales" / "zh.json"))
    shown = json.dumps({**words, "errors": None}, ensure_ascii=False)
    quoted = re.findall(r"“([^”]+)”", text_of(DOCS / "zh" / "webui.md"))
    hosts = {"扩展 → 从网址安装"}
    assert [text for text in quoted if text not in shown and text not in hosts] == []
