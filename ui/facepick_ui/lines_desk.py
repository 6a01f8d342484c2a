"""Desk of the lines: who says what and when, in a picture and in a table; no gradio in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facepick.people.person import Person, Scan
from facepick.speech.line import SpeechLine
from facepick_ui.messages import text
from facepick_ui.session import SaidLine
from facepick_ui.templating import render
from facepick_ui.views import clock, clock_exact, color_of, seconds_of

__all__ = ["MOST_LEVELS", "line_strip", "lines_desk"]

MOST_ROWS = 200
"""Lines in the table; each has a menu, of which a thousand make a browser slow."""

MOST_LEVELS = 60
"""Lines whose sound is drawn: reading one takes some hundredths of a second."""

_WIDTH = 1000


def lines_desk(
    scan: Scan,
    lines: Sequence[SaidLine],
    language: str,
    *,
    choose: Sequence[str] = (),
    told: Mapping[str, str] | None = None,
    faces: Mapping[str, str | None] | None = None,
    no_retake: Mapping[str, str] | None = None,
    look: bool = False,
) -> str:
    """Draw who is on screen and who speaks when, and the lines one by one.

    Args:
        lines: in order of time.
        choose: ids of those who may say a line; empty where that is not asked.
        told: what the user has said of single lines, by `line_key`.
        faces: pictures of people as data URIs, by id.
        no_retake: why lines cannot be taken anew, as a key of the catalogue, by `line_key`.
        look: whether the page offers to find out who speaks.
    """
    times = seconds_of(scan)
    if not lines or not times:
        return ""
    length = max(times[-1], 1e-6)
    told = told or {}
    nobodys = [line for line in lines if told.get(line.key) == "off_screen"]
    own = [line for line in lines if told.get(line.key) != "off_screen"]
    ids = list(dict.fromkeys(key for line in own for key in line.people))
    lanes = [_person(scan, scan.person(key), times, length, own, language) for key in ids]
    if nobodys:
        said = [_said(line, "unsure", length, language) for line in nobodys]
        label = text("lane_nobody", language)
        lanes.append({"label": label, "color": color_of(""), "presence": [], "said": said})
    reasons = {(no_retake or {}).get(line.key, "") for line in lines}
    return render(
        "lines",
        language,
        lanes=lanes,
        level=_level(lines, length),
        width=_WIDTH,
        length=length,
        ticks=[{"at": 100 * t / length, "clock": clock(t)} for t in _ticks(length)],
        rows=[
            {
                **_row(scan, line, choose, told, faces or {}),
                "no_retake": (no_retake or {}).get(line.key, ""),
            }
            for line in lines[:MOST_ROWS]
        ],
        retake={"retake_none": "retake_none", "retake_same": "retake_all_same"}.get(
            next(iter(reasons)) if len(reasons) == 1 else "", "retake_help"
        ),
        more=len(lines) - MOST_ROWS,
        choose=[(key, scan.person(key).label) for key in choose],
        look=look,
    )


def _ticks(length: float) -> list[float]:
    """Choose about six round moments."""
    steps = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((s for s in steps if length / s <= 7), steps[-1])
    return [float(i * step) for i in range(1, int(length // step) + 1) if i * step < 0.97 * length]


def _shown(scan: Scan, person: Person) -> np.ndarray[Any, Any]:
    """Tell for each frame whether the person is on screen."""
    shown = np.zeros(scan.frames, np.bool_)
    for track in scan.tracks_of(person.id):
        shown[track.frames] = True
    return shown


def _person(
    scan: Scan,
    person: Person,
    times: Sequence[float],
    length: float,
    lines: Sequence[SaidLine],
    language: str,
) -> dict[str, Any]:
    shown = _shown(scan, person)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shown.astype(np.int8), [0]])))
    presence = [
        (
            _WIDTH * times[a] / length,
            max(1.0, _WIDTH * (times[min(b, len(times) - 1)] - times[a]) / length),
        )
        for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    said = []
    for line in lines:
        start = line.line.start_seconds
        if person.id not in line.people or start >= length:
            continue
        a, b = np.searchsorted(times, [start, start + line.seconds])
        state = _state(line.line, bool(shown[a : max(int(b), int(a) + 1)].any()))
        said.append(_said(line, state, length, language))
    return {
        "label": person.label, "color": color_of(person.id), "presence": presence, "said": said
    }  # fmt: skip


def _said(line: SaidLine, state: str, length: float, language: str) -> dict[str, Any]:
    start, words = line.line.start_seconds, line.line.text or ""
    hint = f"{clock_exact(start)} {words}"
    return {
        "left": 100 * start / length,
        "width": max(0.4, 100 * min(line.seconds, length - start) / length),
        "words": words,
        "state": state,
        "title": hint if state == "sure" else f"{hint} – {text('line_' + state, language)}",
        "start": f"{start:.3f}",
        "key": line.key,
    }


def _state(line: SpeechLine, shown: bool) -> str:
    if not shown:
        return "off_screen"
    return "sure" if line.drawn else "unsure"


def _level(lines: Sequence[SaidLine], length: float) -> str:
    """Draw the level of all lines as the points of one polygon; empty without any."""
    from facepick.speech.heard import LEVEL_SECONDS

    columns = np.zeros(_WIDTH)
    for line in lines:
        for i, level in enumerate(line.level):
            at = int(_WIDTH * (line.line.start_seconds + i * LEVEL_SECONDS) / length)
            if at < _WIDTH:
                columns[at] = max(columns[at], level)
    if not columns.any():
        return ""
    points = " ".join(f"{x},{20 - 20 * v:.1f}" for x, v in enumerate(columns))
    return f"0,20 {points} {_WIDTH},20"


def _row(
    scan: Scan,
    line: SaidLine,
    choose: Sequence[str],
    told: Mapping[str, str],
    faces: Mapping[str, str | None],
) -> dict[str, Any]:
    start = line.line.start_seconds
    now = told.get(line.key) or (line.people[0] if line.people else "")
    # In the plan it is somebody's, for what is heard must be.
    people = () if now == "off_screen" else line.people
    return {
        "key": line.key,
        "start": f"{start:.3f}",
        "faces": [face for p in people if (face := faces.get(p))],
        "recorded": line.recorded,
        "trimmed": line.trimmed,
        "who": now if now in (*choose, "off_screen") else "",
        "people": [(scan.person(p).label, color_of(p)) for p in people],
        "when": f"{clock_exact(start)} – {clock_exact(start + line.seconds)}",
        "seconds": f"{line.seconds:.1f}",
        "words": line.line.text or "",
        "drawn": line.line.drawn,
        "file": line.line.path.replace("\\", "/").rsplit("/", 1)[-1],
    }


def line_strip(
    said: SaidLine,
    uri: str,
    level: Sequence[float],
    *,
    begin: float,
    heard: tuple[float, float],
    who: str,
    plays: bool,
    records: bool,
    language: str,
) -> str:
    """Draw one line to be played, trimmed and recorded; the page's script does it.

    Args:
        uri: its sound with a little more on both sides, as data URI.
        level: of that by twentieths of a second, in [0, 1].
        begin: where that begins in the line's file, in seconds.
        heard: from where to where the file is heard, in seconds.
        who: says it.
        plays: whether it is played at once.
        records: whether it can be recorded here.
    """
    from facepick.speech.heard import LEVEL_SECONDS

    length = max(LEVEL_SECONDS, len(level) * LEVEL_SECONDS)
    points = " ".join(
        f"{_WIDTH * i / max(1, len(level) - 1):.1f},{20 - 20 * v:.1f}" for i, v in enumerate(level)
    )
    return render(
        "line_strip",
        language,
        key=said.key,
        who=who,
        when=clock_exact(said.line.start_seconds),
        words=said.line.text or "",
        uri=uri,
        width=_WIDTH,
        points=f"0,20 {points} {_WIDTH},20",
        begin=f"{begin:.3f}",
        length=f"{length:.3f}",
        start=f"{min(length, max(0.0, heard[0] - begin)):.3f}",
        stop=f"{min(length, heard[1] - begin):.3f}",
        plays=plays,
        records=records,
        changed=said.recorded or said.trimmed,
    )
