"""``facepick speakers``: who speaks when, and whose face it is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.cli.console import make_app, print_json, watched
from facepick.cli.options import add_progress, add_scan_options, given_scan
from facepick.errors import UserInputError
from facepick.files import as_json
from facepick.notices import Notice
from facepick.publishing import refuse_input, refuse_output, write_output
from facepick.text import say

if TYPE_CHECKING:
    from facepick.people.person import Scan
    from facepick.speech.speakers import Speakers, Turn

__all__ = ["build_speakers"]


def build_speakers(parser: argparse.ArgumentParser) -> None:
    """Add what `facepick speakers` takes."""
    parser.add_argument("video", metavar="VIDEO", help="the video; its own sound is listened to")
    parser.add_argument(
        "--lines",
        metavar="FILE",
        help="ask for the speaker of each of these lines: SRT, WebVTT, ASS, JSON, RTTM",
    )
    parser.add_argument(
        "--names",
        metavar="FILE",
        help="who says each of the lines: JSON, a list of one name a line (speaker.json)",
    )
    parser.add_argument(
        "--set",
        metavar="L3=P2",
        action="append",
        default=[],
        help="say who speaks a line: a person, off_screen, or auto to take it back; kept for good",
    )
    parser.add_argument(
        "--num-speakers", type=int, metavar="N", help="how many voices there are, if you know"
    )
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON (- = standard output)"
    )
    parser.add_argument("--rttm", metavar="FILE", help="write the turns as RTTM")
    parser.add_argument("--srt", metavar="FILE", help="write subtitles with names")
    parser.add_argument(
        "--force", action="store_true", help="overwrite files that facepick did not write"
    )
    add_scan_options(parser, set())
    add_progress(parser)
    parser.set_defaults(handler=_speakers)


def _speakers(options: argparse.Namespace) -> int:
    from facepick.people.finder import ScanSettings
    from facepick.settings import from_mapping
    from facepick.speech.cue_names import with_names
    from facepick.speech.script import read_script
    from facepick.speech.speaker_edits import speaker_edit

    outs = _outs(options)
    if options.num_speakers is not None and options.num_speakers < 1:
        raise UserInputError("--num-speakers must be 1 or more.")
    script = read_script(Path(options.lines).absolute()) if options.lines else None
    if options.names:
        if script is None:
            raise UserInputError(
                "--names names lines, and no lines are given.", hint="Add --lines."
            )
        script = with_names(script, Path(options.names).absolute())
    app = make_app()
    with watched(options.progress) as (sink, token):
        scan = app.find_people(
            options.video,
            from_mapping(ScanSettings, given_scan(options)),
            progress=sink,
            cancel=token,
        )
        lines = None
        if script is not None:
            lines = script.spans(app.names_of(scan))
        found = app.who_speaks(
            scan, lines=lines, num_speakers=options.num_speakers, progress=sink, cancel=token
        )
        if options.set:
            edits = [speaker_edit(scan, found, text) for text in options.set]
            aside = app.set_speakers(scan, edits)
            if aside is not None:
                say(f"facepick: The older corrections were set aside: {aside}", file=sys.stderr)
            found = app.who_speaks(
                scan, lines=lines, num_speakers=options.num_speakers, progress=sink, cancel=token
            )
    _write(outs, scan, found, options)
    return 0


def _outs(options: argparse.Namespace) -> dict[str, Path]:
    """Refuse at once what could not be written after a long pass."""
    outs: dict[str, Path] = {}
    for kind in ("json", "rttm", "srt"):
        name = getattr(options, kind)
        if not name or name == "-":
            continue
        path = Path(name).absolute()
        if path.is_dir() or not path.parent.is_dir():
            raise UserInputError(
                f"{name} cannot be written.", hint="Give a file name in a folder that is there."
            )
        inputs = (options.video, options.lines, options.names)
        refuse_input(path, [Path(n) for n in inputs if n])
        refuse_output(path, force=options.force)
        if path in outs.values():
            raise UserInputError(f"{name} is named twice.")
        outs[kind] = path
    return outs


def _write(outs: dict[str, Path], scan: Scan, found: Speakers, options: argparse.Namespace) -> None:
    """Write the files that were asked for, and tell the rest."""
    from facepick.people.export import people_json

    names = _Names(scan, found)
    _write_files(outs, scan, found, names, force=options.force)
    if options.json:
        plain = found.to_json(people_json(scan)["video"])
        if options.json == "-":
            print_json(plain)
            return
        write_output(outs["json"], as_json(plain, indent=1) + "\n", force=options.force)
    if options.progress == "jsonl":
        print_json({"event": "done", "turns": len(found.turns), "voices": len(found.voices)})
        return
    _tell(scan, found, names)


class _Names:
    """Names of who is heard: people of the video, then somebody of the cast who is not in it."""

    def __init__(self, scan: Scan, found: Speakers) -> None:
        self._people = {p.id: p.label for p in scan.people}
        self._voices = {v.id: v.name for v in found.voices if v.name}

    def of(self, turn: Turn) -> str | None:
        """Name who is heard; None for a voice without a name."""
        return self._people.get(turn.person or "") or self._voices.get(turn.voice or "")


def _write_files(
    outs: dict[str, Path], scan: Scan, found: Speakers, names: _Names, *, force: bool
) -> None:
    from facepick.speech.rttm import rttm_text
    from facepick.speech.subtitles import srt_text

    if "rttm" in outs:
        heard = [
            (t.start, t.end, names.of(t) or t.voice) for t in found.turns if t.state != "silent"
        ]
        write_output(outs["rttm"], rttm_text(scan.video.path.stem, heard), force=force)
    if "srt" in outs:
        cues = []
        for turn in found.turns:
            # A guess is none of the user's names yet: it stands as a question.
            sure = turn.state in ("sure", "off_screen")
            name = names.of(turn) or turn.voice if sure else None
            cues.append((turn.start, turn.end, name, turn.text or "..."))
        write_output(outs["srt"], srt_text(cues), force=force)


def _tell(scan: Scan, found: Speakers, names: _Names) -> None:
    for turn in found.turns:
        fields = (
            turn.id,
            f"{turn.start:.2f}-{turn.end:.2f}",
            names.of(turn) or "-",
            turn.voice or "-",
            turn.state + (" (set)" if turn.corrected else ""),
            f"{turn.score:.2f}",
            turn.text or "",
        )
        say("\t".join(fields).rstrip())
    unsure = [turn.id for turn in found.turns if turn.state == "unsure"]
    if unsure:
        say(
            f"{len(unsure)} of {len(found.turns)} are unsure. Say who it is: --set {unsure[0]}=P1",
            file=sys.stderr,
        )
    if found.rough:
        say(Notice(code="voices_rough").sentence(), file=sys.stderr)
    if not found.turns:
        say(f"Nobody is heard in {scan.video.path.name}.", file=sys.stderr)
