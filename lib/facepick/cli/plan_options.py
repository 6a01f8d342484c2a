"""Options of which a plan is made, grouped so that what is needed first comes first."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from facepick.cli.options import add_progress, add_scan_options, add_settings, number

if TYPE_CHECKING:
    from facepick.engines.engine import EngineSpec
    from facepick.settings import SettingField

__all__ = ["EXAMPLES", "START", "add_plan_options"]

START = "start here"

EXAMPLES = """
  facepick people VIDEO
  facepick {name} VIDEO -o OUT --person P1 --flow hide
  facepick {name} VIDEO -o OUT --person P1 --flow lipsync --audio SPEECH.wav
  facepick {name} VIDEO -o OUT --person P1 --flow swap --source FACE.jpg \\
      --i-have-the-right "Both have agreed."
"""

_FLOWS = {"lipsync": "lip sync", "swap": "swap", "hide": "hide"}


def add_plan_options(parser: argparse.ArgumentParser, start: argparse._ArgumentGroup) -> None:
    """Add the options of which a plan is made.

    Args:
        parser: of the command.
        start: group of what everybody needs, which holds the video and the result already.
    """
    from facepick.engines.registry import default_registry
    from facepick.media.writer import EncodeSettings
    from facepick.render.plan import OutputSettings
    from facepick.settings import fields_of

    registry = default_registry()
    specs = [engine.spec for engine in registry.all()]
    _add_start(start, registry.flows())
    _add_who(parser, specs)
    _add_speech(parser)
    taken: set[str] = set()
    _add_engine_settings(parser, specs, taken)
    add_settings(parser, fields_of(OutputSettings), "sound and marks of the result", taken)
    add_settings(parser, fields_of(EncodeSettings), "compression", taken)
    add_scan_options(parser, taken)
    rest = parser.add_argument_group("plans, files and progress")
    rest.add_argument("--force", action="store_true", help="overwrite an existing result")
    rest.add_argument("--plan", metavar="PLAN.json", help="a plan with several assignments")
    rest.add_argument(
        "--save-plan", metavar="PLAN.json", help="write down what was asked for, as a plan"
    )
    rest.add_argument(
        "--separator",
        metavar="FILE|COMMAND",
        help="what --separate uses: a UVR-MDX ONNX file, or a command with {in}, {voices} and "
        "{rest} in the places of files, run without a shell (default: FACEPICK_SEPARATOR)",
    )
    add_progress(rest)


def _add_start(group: argparse._ArgumentGroup, flows: Sequence[str]) -> None:
    group.add_argument(
        "--person",
        metavar="P1",
        action="append",
        default=[],
        help="whom: id or name as `facepick people VIDEO` lists them, or photo:FILE for who is in "
        "a photo; may be repeated",
    )
    group.add_argument(
        "--flow",
        choices=flows,
        metavar="|".join(flows),
        help="what: hide the face, re-sync the lips to other speech, or swap the face",
    )
    group.add_argument(
        "--audio",
        metavar="SPEECH",
        action="append",
        default=[],
        help="lip sync: the new speech, a sound file",
    )
    group.add_argument(
        "--source",
        metavar="FACE",
        action="append",
        default=[],
        help="swap: the new face: a photo, VIDEO:P2, cast:NAME or the name of a saved source",
    )
    group.add_argument(
        "--i-have-the-right",
        dest="consent",
        metavar="TEXT",
        help="swap: your statement that you have the right to use both faces",
    )


def _add_who(parser: argparse.ArgumentParser, specs: Sequence[EngineSpec]) -> None:
    how = parser.add_argument_group("how, and who else")
    listed = [
        f"{words}: {', '.join(spec.id for spec in specs if spec.flow == flow)}"
        for flow, words in _FLOWS.items()
    ]
    how.add_argument(
        "--engine",
        "--style",
        dest="engine",
        metavar="ID",
        help="how it is done; the first is taken unless you say otherwise\n" + "\n".join(listed),
    )
    how.add_argument(
        "--everyone-but",
        metavar="P1,P2",
        action="append",
        default=[],
        help="hide everybody else: unsure people, bystanders and faces that are nobody's, too",
    )
    how.add_argument(
        "--include-unsure", action="store_true", help="also change people marked as unsure"
    )


def _add_speech(parser: argparse.ArgumentParser) -> None:
    speech = parser.add_argument_group("lip sync: more about the speech")
    speech.add_argument(
        "--lines",
        metavar="FILE",
        help="speech lines with who says them: JSON, SRT, WebVTT, ASS or SSA",
    )
    speech.add_argument(
        "--names",
        metavar="FILE",
        help="who says each of the lines: JSON, a list of one name a line (speaker.json)",
    )
    speech.add_argument(
        "--tts",
        metavar="[NAME=]COMMAND",
        action="append",
        default=[],
        help="speak lines that have no sound: a command that reads the words and writes {out}, run "
        "without a shell, for everybody or for NAME (default: FACEPICK_TTS)",
    )
    speech.add_argument("--text", metavar="WORDS", help="the words of the speech, if known")
    speech.add_argument(
        "--audio-start", type=number, default=0.0, metavar="S", help="when it starts"
    )
    speech.add_argument(
        "--audio-offset", type=number, default=0.0, metavar="S", help="skip so much of the speech"
    )
    speech.add_argument(
        "--phones",
        metavar="FILE",
        help="when its phones are said, if known: TextGrid, CTM, .lab, .pho, JSON ...",
    )


class _Shared:
    """One option of several engines: what it means for each of them.

    Args:
        uses: every engine that has it, with its own setting.
    """

    def __init__(self, uses: Sequence[tuple[EngineSpec, SettingField]]) -> None:
        self.uses = uses
        self.field = uses[0][1]
        self.flows = list(dict.fromkeys(spec.flow for spec, _ in uses))

    def help(self, specs: Sequence[EngineSpec]) -> str:
        """Word what it does: once where all engines agree, else a line for each meaning."""
        return "\n".join(self._meanings(specs)).replace("%", "%%")

    def _meanings(self, specs: Sequence[EngineSpec]) -> Iterator[str]:
        meanings: dict[tuple[Any, ...], list[EngineSpec]] = {}
        for spec, field in self.uses:
            key = (field.ui.help, field.default, field.ui.choices)
            meanings.setdefault(key, []).append(spec)
        several = len({choices for _, _, choices in meanings}) > 1
        for (text, default, choices), users in meanings.items():
            chosen = f" One of {', '.join(choices)}." if several and choices else ""
            usual = "" if default is None else f" (default: {default})"
            yield f"{self._whose(users, specs)}{text}{chosen}{usual}"

    def _whose(self, users: Sequence[EngineSpec], specs: Sequence[EngineSpec]) -> str:
        """Name the engines that a meaning holds for; nobody where it holds for all of the flow."""
        words = []
        for flow in dict.fromkeys(spec.flow for spec in users):
            names = [spec.id for spec in users if spec.flow == flow]
            whole = len(names) == sum(spec.flow == flow for spec in specs)
            if not whole:
                words.append(", ".join(names))
            elif len(self.flows) > 1:
                words.append(_FLOWS[flow])
        return "; ".join(words) + ": " if words else ""

    def add(self, group: argparse._ArgumentGroup, specs: Sequence[EngineSpec]) -> None:
        """Add it to a group of options."""
        field, kinds = self.field, {field.kind for _, field in self.uses}
        text = self.help(specs)
        kind: dict[str, Any] = {"default": argparse.SUPPRESS, "dest": f"setting_{field.name}"}
        if kinds == {"bool"}:
            group.add_argument(
                field.option, action=argparse.BooleanOptionalAction, help=text, **kind
            )
            return
        named = {"int": "N", "float": "X", "color": "#RRGGBB", "file": "FILE"}
        metavar = named.get(field.kind, "TEXT")
        if kinds == {"choice"}:
            choices = dict.fromkeys(c for _, field in self.uses for c in field.ui.choices)
            metavar = "|".join(choices)
        elif len(kinds) > 1:
            metavar = "VALUE"
        group.add_argument(field.option, metavar=metavar, help=text, **kind)


def _add_engine_settings(
    parser: argparse.ArgumentParser, specs: Sequence[EngineSpec], taken: set[str]
) -> None:
    """Add an option for every setting of every engine, in a group for each flow.

    Options that several flows have in different ways come in a group of their own.
    """
    from facepick.settings import fields_of

    uses: dict[str, list[tuple[EngineSpec, SettingField]]] = {}
    for spec in specs:
        for field in fields_of(spec.settings):
            uses.setdefault(field.name, []).append((spec, field))
    shared = [_Shared(found) for found in uses.values()]
    taken |= set(uses)
    for flow, words in _FLOWS.items():
        engines = ", ".join(spec.id for spec in specs if spec.flow == flow)
        group = parser.add_argument_group(f"{words}: settings of {engines}")
        for option in shared:
            if option.flows == [flow]:
                option.add(group, specs)
    group = parser.add_argument_group("settings of several flows")
    for option in shared:
        if len(option.flows) > 1:
            option.add(group, specs)
