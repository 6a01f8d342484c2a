"""Page of the command line, docs/cli.md, made from the options themselves.

python tools/cli_page.py          write it
python tools/cli_page.py --check  say whether it is up to date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Container, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lib"))

PAGE = ROOT / "docs" / "cli.md"

LIKE_RENDER = ("preview", "batch")

INTRO = """# The command line

Made from the commands' own help by `python tools/cli_page.py`; `facepick COMMAND --help` shows the
same. Four commands do most of the work:

```
facepick people clip.mp4                                             # who is in it: P1, P2, ...
facepick render clip.mp4 -o out.mp4 --person P1 --flow hide          # change that person alone
facepick inspect out.mp4                                             # what was changed
facepick jobs list                                                   # what was stopped can go on
```

What is printed is for people; `--verbose` prints more, and `--json` prints what programs read,
whose form stays. Exit codes: 0 done, 2 the request is wrong, 3 a model file or program is missing,
4 stopped by you, 5 failed. What is wrong is said in one sentence, with what to do.
"""


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command, with all its options."""
    from facepick.cli.main import parser_for

    whole = parser_for([name])
    actions = [a for a in whole._actions if isinstance(a, argparse._SubParsersAction)]
    found: argparse.ArgumentParser = actions[0].choices[name]
    return found


def sections(
    parser: argparse.ArgumentParser, level: str, known: Container[str] = ()
) -> Iterator[str]:
    """Tables of the options that are not known, group by group, then actions of the command."""
    for group in parser._action_groups:
        rows = [row(a) for a in group._group_actions if not hidden(a)]
        rows = [text for text in rows if text not in known]
        if rows:
            title = {"options": "", "positional arguments": ""}.get(group.title or "", group.title)
            yield f"*{title}*\n" if title else ""
            yield "\n".join(["| option | what it does |", "|---|---|", *rows, ""])
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for name, sub in action.choices.items():
                yield f"{level} {sub.prog}\n\n{helps.get(name) or ''}\n"
                yield from sections(sub, level + "#")


def hidden(action: argparse.Action) -> bool:
    """Options that every command has, and the actions, which have sections of their own."""
    every = {"--help", "--verbose"} & set(action.option_strings)
    return bool(every) or isinstance(action, argparse._SubParsersAction)


def row(action: argparse.Action) -> str:
    """One option as a row of a table."""
    names = ", ".join(action.option_strings)
    value = "" if action.nargs == 0 else str(action.metavar or "")
    if not value and action.nargs != 0 and action.choices:
        value = "|".join(map(str, action.choices))
    text = " ".join((action.help or "").replace("%%", "%").split("\n"))
    shown = f"{names} {value}".strip().replace("|", "\\|")
    return f"| `{shown}` | {text.replace('|', chr(92) + '|')} |"


def page() -> str:
    """The whole page."""
    from facepick.cli.main import COMMANDS

    parts = [INTRO]
    of_render = {row(a) for a in parser_of("render")._actions if not hidden(a)}
    for name, (what, _) in COMMANDS.items():
        parts.append(f"## facepick {name}\n\n{what[:1].upper()}{what[1:]}.\n")
        known: set[str] = set()
        if name in LIKE_RENDER:
            known = of_render
            parts.append("It has the options of `facepick render` for whom and what, and:\n")
        parts += [part for part in sections(parser_of(name), "###", known) if part]
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    whole = page()
    if "--check" in arguments:
        return int(not PAGE.exists() or whole != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(whole, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
