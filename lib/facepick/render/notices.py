"""What people should know of a plan before it is carried out, and of a result after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from facepick.engines.registry import EngineRegistry
from facepick.media.dub import line_seconds
from facepick.notices import Notice, as_notices, notices_of_result, without_repeats
from facepick.people.identity import Identity, Scan
from facepick.progress import CancelToken, never
from facepick.render.plan import Assignment, RenderPlan
from facepick.render.report import Tally
from facepick.render.sound import Unheard
from facepick.settings import from_mapping

__all__ = [
    "cut_notices",
    "end_notices",
    "engine_notices",
    "notices_of_report",
    "off_screen_notices",
    "speech_notices",
]


def speech_notices(plan: RenderPlan, registry: EngineRegistry) -> tuple[Notice, ...]:
    """What of the speech an engine cannot use, and what its files lack."""
    found: list[Notice] = []
    for item in plan.assignments:
        found += (n for line in item.speech if line.phones for n in line.phones.notices)
        spec = registry.get(item.flow, item.engine).spec
        if spec.notices is not None:
            told = spec.notices(from_mapping(spec.settings, item.settings), item.speech)
            found += (replace(n, person=", ".join(item.selection.people)) for n in told)
    return without_repeats(found)


def cut_notices(unheard: Iterable[Unheard]) -> tuple[Notice, ...]:
    """Speech for which the video is too short."""
    return tuple(
        Notice(
            code="speech_cut",
            person=", ".join(entry.people),
            start=entry.start,
            facts={"file": entry.file, "seconds": entry.seconds},
        )
        for entry in unheard
    )


def off_screen_notices(
    assignments: Sequence[Assignment],
    scan: Scan,
    *,
    part: tuple[int, int] | None = None,
    cancel: CancelToken = never,
) -> tuple[Notice, ...]:
    """Lines during which their person is never on screen.

    Args:
        part: the half-open part of the source that is rendered, in frames; None for all of it.
            Other lines are passed over.

    Raises:
        NoAudioError, VideoOpenError, UserInputError: a line's file cannot be heard.
    """
    first, stop = part or (0, scan.frames)
    times = (scan.pts - scan.pts[0]) * float(scan.video.time_base)
    edge = float(times[-1]) + scan.duration_pts * float(scan.video.time_base)
    begin, end = float(times[first]), edge if stop >= scan.frames else float(times[stop])
    found = []
    for item in assignments:
        if not item.speech:
            continue
        for person in item.selection.resolve(scan):
            shown = np.zeros(scan.frames, bool)
            for track in scan.tracks_of(person.id):
                shown[track.frames] = True
            for line in item.speech:
                seconds = float(line_seconds(line, cancel=cancel))
                a, b = line.start_seconds, line.start_seconds + seconds
                if a < begin or b <= begin or a >= end:
                    continue
                # The frame that is shown when the line begins counts, too.
                low = max(0, int(np.searchsorted(times, a, side="right")) - 1)
                high = int(np.searchsorted(times, b, side="left"))
                if not shown[low:high].any():
                    found.append(
                        Notice(
                            code="line_off_screen",
                            person=person.id,
                            start=a,
                            facts={"who": person.label, "seconds": round(seconds, 3)},
                        )
                    )
    return tuple(found)


def engine_notices(report: Mapping[str, Any], person: Identity) -> tuple[Notice, ...]:
    """What an engine's session has to say, about the person it worked on."""
    return tuple(
        replace(notice, person=person.id, facts={"who": person.label, **notice.facts})
        for notice in as_notices(report.get("notices"))
    )


def end_notices(
    scan: Scan,
    tallies: Mapping[tuple[str, str], Tally],
    left_out: Sequence[str],
    speaking: Mapping[str, Identity],
) -> tuple[Notice, ...]:
    """What is known when everything is drawn.

    Args:
        tallies: what became of everybody.
        left_out: what of the source could not be kept, a phrase each.
        speaking: who was to speak, by id.
    """
    found = []
    for key, person in speaking.items():
        tally = tallies.get((key, "lipsync"), Tally())
        only_shut = tally.frames_changed == tally.frames_closed
        if only_shut and (tally.frames_closed or "silence" in tally.left):
            found.append(Notice(code="no_voice", person=key, facts={"who": person.label}))
    found += (Notice(code="stream_left_out", facts={"what": phrase}) for phrase in left_out)
    if scan.decode_failures:
        found.append(
            Notice(
                code="source_damaged",
                facts={"file": scan.video.path.name, "parts": scan.decode_failures},
            )
        )
    return tuple(found)


def notices_of_report(report: Mapping[str, Any]) -> tuple[Notice, ...]:
    """Of a report, also of one that was written before there were notices."""
    if "notices" in report:
        return as_notices(report["notices"])
    result, source = report.get("result") or {}, report.get("source") or {}
    found = [*notices_of_result({**result, "left_out": source.get("left_out") or ()})]
    for person in report.get("people") or ():
        told = as_notices((person.get("measured") or {}).get("notes"))
        found += (replace(notice, person=str(person.get("id", ""))) for notice in told)
    return tuple(found)
