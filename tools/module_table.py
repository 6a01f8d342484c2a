"""Table of modules in docs/architecture.md, made from the first lines of their docstrings.

python tools/module_table.py          write it
python tools/module_table.py --check  say whether it is up to date
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = (ROOT / "lib" / "facepick", ROOT / "ui" / "facepick_ui")
BEGIN, END = "<!-- modules: python tools/module_table.py -->", "<!-- end of modules -->"


def summary_of(path: Path) -> str:
    """First sentence of a module's docstring, on one line, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return (
        " ".join(text.split("\n\n")[0].split()).rstrip(".").replace("|", "\\|").replace("``", "`")
    )


def rows_of(room: Path) -> list[tuple[str, str]]:
    """Name and summary of every public module of a package, parents before children."""
    files = [
        path
        for path in room.rglob("*.py")
        if not path.stem.startswith("_") or path.stem == "__init__"
    ]
    modules = {}
    for path in files:
        parts = path.relative_to(room.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        modules[name] = summary_of(path)
    return sorted(modules.items(), key=lambda item: item[0].split("."))


def table() -> str:
    """The table as it stands in the page, between its marks."""
    lines = [BEGIN, "", "| module | holds |", "|---|---|"]
    for room in ROOMS:
        packages = {path.parent for path in room.rglob("__init__.py")}
        names = {".".join(path.relative_to(room.parent).parts) for path in packages}
        for name, summary in rows_of(room):
            shown = name.removeprefix("facepick.")
            label = f"**`{shown}`**" if name in names else f"`{shown}`"
            lines.append(f"| {label} | {summary} |")
    return "\n".join([*lines, "", END])


def page_with_table() -> str:
    """The whole page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + table() + after


def main(arguments: list[str]) -> int:
    whole = page_with_table()
    if "--check" in arguments:
        return int(whole != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(whole, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
