"""Page of a review: what was done to whom, how well, and what to look at, for people."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import numpy as np

from facepick.engines.registry import EngineRegistry
from facepick.errors import FacepickError, SettingsError
from facepick.measure.lip_sync import LipMeter
from facepick.measure.result_reader import frame_pairs
from facepick.models.store import ModelStore
from facepick.notices import Notice
from facepick.pages import filled
from facepick.people.person import Scan
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.render.label import LABEL_SECONDS
from facepick.render.learned_store import LearnedStore
from facepick.render.notices import notices_of_report
from facepick.render.plan import RenderPlan
from facepick.render.report import REVIEW_MARK
from facepick.review.compare import Comparer, Comparison, Drift
from facepick.review.lines import LineRow, line_rows
from facepick.review.moments import Moment, Strip, StripKeeper, left_alone, worst_moments
from facepick.review.outcomes import LEFT, Outcome, Outcomes
from facepick.review.words import clock, has_words, number, say_in, setting_in
from facepick.settings import fields_of

__all__ = ["review_page"]

MAX_PICTURE_BYTES = 3_300_000
"""JPEG of all strips: as base64 (4 letters for 3 bytes) 4.4 MB, so that the page is below 5 MB."""

MAX_RUNS, MAX_LINES, MAX_NOTICES = 12, 2000, 60
"""Rows of a table: a line is some 300 letters, so that 2000 of them are 0.6 MB."""

_COLUMNS = 600
"""Columns of the timeline: two pixels each on a wide screen."""

_ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One flow done to one person, as the page shows it."""

    entry: Mapping[str, Any]
    outcome: Outcome
    moments: Sequence[Moment]
    lines: Sequence[LineRow]
    sync: Mapping[str, Any] | None

    @property
    def key(self) -> tuple[str, str]:
        return str(self.entry["id"]), str(self.entry["flow"])


@dataclass(kw_only=True)
class _Album:
    """Pictures of the page, as many as it may hold."""

    strips: Mapping[tuple[str, str, int], Strip]
    left: int = MAX_PICTURE_BYTES
    dropped: int = 0

    def strip(self, key: tuple[str, str, int]) -> tuple[str, str] | None:
        """Give a strip as data addresses, before and after; None when there is no room for it."""
        found = self.strips.get(key)
        if found is None:
            return None
        size = len(found.before) + len(found.after)
        if size > self.left:
            self.dropped += 1
            return None
        self.left -= size
        return _address(found.before), _address(found.after)


def _address(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""


@dataclass(frozen=True, kw_only=True)
class _Made:
    """Everything that the page is made of."""

    report: Mapping[str, Any]
    plan: RenderPlan
    scan: Scan
    outcomes: Outcomes
    comparison: Comparison
    parts: Sequence[_Part]
    registry: EngineRegistry
    sync_missing: str = ""
    strips: Mapping[tuple[str, str, int], Strip] = field(default_factory=dict)


def review_page(
    result: Path,
    report: Mapping[str, Any],
    rows: Iterable[Mapping[str, Any]],
    scan: Scan,
    *,
    name: str,
    language: str = "en",
    models: ModelStore,
    registry: EngineRegistry,
    unchanged: bool | None = None,
    show_hidden: bool = False,
    learnt: LearnedStore | None = None,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> str:
    """Make the review of a result as one HTML file that needs nothing else.

    Result and source are decoded side by side, once; everything is measured on the way.

    Args:
        result: where the video lies now.
        report: its sidecar, the "frames" left aside.
        rows: those "frames".
        scan: the people of the source.
        name: of the video, as the page links it: beside the page.
        language: ``en`` or ``zh``.
        unchanged: whether the video is still what was rendered; None when that is known.
        show_hidden: show faces that were hidden as they were.
        learnt: where renders keep what they find in a source, or None.

    Raises:
        UserInputError: the report is damaged.
        VideoOpenError: source or result cannot be read.
        Cancelled.
    """
    plan = RenderPlan.from_json(report["plan"])
    scan = plan.scan_of_all(scan)
    outcomes = Outcomes.read(rows, int(report["result"].get("frames") or scan.frames))
    part = (plan.start, scan.frames if plan.stop is None else min(plan.stop, scan.frames))
    comparer = Comparer(
        scan,
        outcomes,
        part=part,
        picked=[str(p["id"]) for p in report["people"]],
        labelled_seconds=0.0 if plan.output.label_card == "off" else float(LABEL_SECONDS),
    )
    comparison = comparer.found
    keeper = StripKeeper(
        scan,
        outcomes,
        first=part[0],
        frames=min(len(outcomes), part[1] - part[0]),
        show_hidden=show_hidden,
    )
    lips, missing = _lips(report, outcomes, scan, models, learnt, cancel)
    meter = ProgressMeter(progress, "review", part[1] - part[0])
    # Where the result is longer than the source, the part after the source's end is left out: it
    # shows the same pictures again.
    for new, old in frame_pairs(result, scan, part, cancel):
        if new.index >= len(outcomes):
            break
        meter.update(new.index)
        comparer.add(new, old)
        keeper.add(new.index, new.picture, old.picture, comparison.restless)
        if lips is not None:
            lips.add(new.index, new.picture, old.picture)
    sync = {} if lips is None else {str(e["person"]): e for e in lips.entries()}
    parts = [
        _part(entry, outcomes, comparison, plan, scan, sync.get(str(entry["id"])))
        for entry in report["people"]
    ]
    moments = {p.key: [m.frame for m in p.moments] for p in parts if p.moments}
    strips = keeper.strips(result, comparison.pts, moments, cancel=cancel)
    made = _Made(
        report=report,
        plan=plan,
        scan=scan,
        outcomes=outcomes,
        comparison=comparison,
        parts=parts,
        registry=registry,
        sync_missing=missing,
        strips=strips,
    )
    return _Page(made, name, language, unchanged).html(show_hidden=show_hidden)


def _lips(
    report: Mapping[str, Any],
    outcomes: Outcomes,
    scan: Scan,
    models: ModelStore,
    learnt: LearnedStore | None,
    cancel: CancelToken,
) -> tuple[LipMeter | None, str]:
    """Prepare to measure lips and sound, or say why that cannot be done."""
    light = {**report, "frames": outcomes.rows("lipsync")}
    try:
        lips = LipMeter(light, scan, models=models, only_lines=True, learnt=learnt, cancel=cancel)
        return lips, ""
    except FacepickError as error:
        # The speech may be gone by now; everything else can still be told.
        return None, error.sentence()


def _part(
    entry: Mapping[str, Any],
    outcomes: Outcomes,
    comparison: Comparison,
    plan: RenderPlan,
    scan: Scan,
    sync: Mapping[str, Any] | None,
) -> _Part:
    key = str(entry["id"]), str(entry["flow"])
    outcome = outcomes.by.get(key) or outcomes.nothing(*key)
    restless = comparison.restless.get(key, np.zeros(len(outcomes), np.float32))
    lips = key[1] == "lipsync"
    return _Part(
        entry=entry,
        outcome=outcome,
        moments=worst_moments(outcome, restless, outcomes.times),
        lines=line_rows(plan, scan, key[0], outcome, outcomes.times, sync) if lips else (),
        sync=sync if lips else None,
    )


def _explained(beside: Drift) -> float:
    """Give the mean change up to which compressing explains it, by what it does elsewhere.

    Twice that, for a face has more detail than a wall, and loses more of it.
    """
    return 2.0 * (beside.mean or 0.0) + 0.1


class _Page:
    """The page's words and rows, for its template."""

    def __init__(self, made: _Made, name: str, language: str, unchanged: bool | None) -> None:
        self.made = made
        self.name = name
        self.language = language
        self.unchanged = unchanged
        self.say = partial(say_in, language)
        self.times = made.outcomes.times
        self.album = _Album(strips=made.strips)

    def html(self, *, show_hidden: bool) -> str:
        made, report = self.made, self.made.report
        people = [self._person(part) for part in made.parts]
        body = filled(
            Path(__file__).parent / "data" / "review.html",
            say=self.say,
            language="zh-CN" if self.language == "zh" else "en",
            name=self.name,
            video=self._link(None),
            facts=self._facts(),
            changed_since=self.unchanged is False,
            notices=self._notices(),
            timeline=(rows := [self._timeline(part) for part in made.parts]),
            kinds={bar["kind"] for row in rows for bar in row["bars"]}
            | ({"line"} if any(row["lines"] for row in rows) else set()),
            people=people,
            others=self._others(),
            provenance=self._provenance(),
            dropped=self.album.dropped,
            hidden_left_out=not show_hidden and any(p.key[1] == "hide" for p in made.parts),
            tool=report["tool"],
        )
        return f"{REVIEW_MARK}\n{body}"

    def _link(self, seconds: float | None) -> str:
        """Write an address of the video beside the page, at a moment of it."""
        address = "./" + quote_from_bytes(os.fsencode(self.name))
        return address if seconds is None else f"{address}#t={max(0.0, seconds):.3f}"

    def _moment(self, seconds: float) -> dict[str, str]:
        return {"href": self._link(seconds), "text": clock(seconds)}

    def _seconds(self, frames: int) -> float:
        """Convert a number of frames to seconds, by the mean rate."""
        return frames * self._length / max(1, len(self.times))

    @property
    def _length(self) -> float:
        times = self.times
        if len(times) < 2:
            return 0.0
        return float(times[-1] + (times[-1] - times[0]) / (len(times) - 1))

    def _facts(self) -> list[str]:
        report, scan = self.made.report, self.made.scan
        tool = f"{report['tool']['name']} {report['tool']['version']}"
        when = str(report["created"]).replace("T", " ").replace("+00:00", " UTC")
        return [
            self.say("made_of", source=Path(report["source"]["path"]).name),
            self.say("made_when", when=when, tool=tool),
            self.say(
                "size",
                length=clock(self._length),
                frames=len(self.times),
                width=scan.video.width,
                height=scan.video.height,
            ),
        ]

    def _notices(self) -> dict[str, Any]:
        found: Sequence[Notice] = notices_of_report(self.made.report)
        rows = [
            {
                "text": notice.plain(self.language),
                "at": None if notice.start is None else self._moment(notice.start),
            }
            for notice in found[:MAX_NOTICES]
        ]
        return {"rows": rows, "more": max(0, len(found) - MAX_NOTICES)}

    # --- the timeline ----------------------------------------------------------------------

    def _timeline(self, part: _Part) -> dict[str, Any]:
        """Mark what became of a person in bars, in columns of equal time."""
        outcome = part.outcome
        ranks = np.zeros(len(self.times), np.uint8)
        ranks[outcome.state > 0] = 1
        ranks[outcome.where([_ABSENT])] = 0
        ranks[outcome.changed] = 2
        for run in left_alone(outcome):
            ranks[run.start : run.stop] = 3
        length = self._length or 1.0
        columns = np.zeros(_COLUMNS, np.uint8)
        at = np.minimum((self.times / length * _COLUMNS).astype(int), _COLUMNS - 1)
        np.maximum.at(columns, at.clip(0), ranks)
        # A column in which no frame begins shows what the one before shows.
        seen = np.zeros(_COLUMNS, np.bool_)
        seen[at.clip(0)] = True
        last = np.maximum.accumulate(np.where(seen, np.arange(_COLUMNS), 0))
        columns = columns[last]
        edges = np.flatnonzero(np.diff(columns)) + 1
        starts = [0, *edges.tolist()]
        bars = [
            {
                "x": a,
                "width": b - a,
                "kind": ("", "present", "changed", "left")[int(columns[a])],
                **self._moment(a * length / _COLUMNS),
            }
            for a, b in zip(starts, [*starts[1:], _COLUMNS], strict=True)
            if columns[a]
        ]
        lines = [
            {
                "x": round(line.start / length * _COLUMNS, 1),
                "width": round(max(1.0, line.seconds / length * _COLUMNS), 1),
                "words": line.text or "",
                "drawn": line.drawn,
                **self._moment(line.start),
            }
            for line in part.lines[:MAX_LINES]
            if line.start < length
        ]
        return {"label": self._label(part), "bars": bars, "lines": lines, "columns": _COLUMNS}

    # --- people ----------------------------------------------------------------------------

    def _label(self, part: _Part) -> str:
        return str(part.entry.get("name") or part.entry["id"])

    def _engine(self, part: _Part) -> str:
        flow, engine = str(part.entry["flow"]), str(part.entry["engine"])
        if has_words(f"engine_{engine}"):
            return self.say(f"engine_{engine}")
        try:
            return self.made.registry.get(flow, engine).spec.label
        except SettingsError:
            # A guest that was removed since.
            return engine

    def _person(self, part: _Part) -> dict[str, Any]:
        entry, outcome = part.entry, part.outcome
        changed = int(outcome.changed.sum())
        seen = int((outcome.state > 0).sum() - outcome.where([_ABSENT]).sum())
        what = self.say(f"flow_{entry['flow']}")
        if changed:
            told = [
                self.say(
                    "done_in",
                    what=what,
                    engine=self._engine(part),
                    frames=changed,
                    all=len(self.times),
                    seconds=number(self._seconds(changed), 1),
                    seen=number(self._seconds(seen), 1),
                )
            ]
        else:
            told = [self.say("done_nowhere", what=what, engine=self._engine(part))]
        for state, key in (("closed", "closed_in"), ("hidden", "hidden_in")):
            count = int(outcome.where([state]).sum())
            told += [self.say(key, frames=count)] if count else []
        guessed = int((outcome.guessed & outcome.changed).sum())
        told += [self.say("guessed_in", frames=guessed)] if guessed else []
        if entry.get("confidence") is not None:
            told.append(self.say("confidence", share=f"{float(entry['confidence']):.0%}"))
        return {
            "id": entry["id"],
            "label": self._label(part),
            "flow": what,
            "told": told,
            "lines": [self._line(line) for line in part.lines[:MAX_LINES]],
            "more_lines": max(0, len(part.lines) - MAX_LINES),
            "sync": self._sync(part),
            "sync_missing": self.made.sync_missing if entry["flow"] == "lipsync" else "",
            "left": self._left(outcome),
            "moments": [self._worst(part, moment) for moment in part.moments],
            "settings": self._settings(part),
        }

    def _line(self, line: LineRow) -> dict[str, Any]:
        if not line.drawn:
            state, good = self.say("line_heard_only"), False
        elif line.made + line.left == 0:
            state, good = self.say("line_absent"), False
        else:
            state = self.say("of", a=line.made, b=line.made + line.left)
            good = line.left == 0
        reasons = ", ".join(self.say(f"reason_{r}") for r in line.reasons)
        return {
            **self._moment(line.start),
            "seconds": number(line.seconds, 1),
            "words": line.text or "",
            "state": state,
            "good": good,
            "reasons": reasons,
            "fit": number(line.fit),
            "lag": self._lag(line.lag_ms) if line.fit is not None else "–",
            "closures": self._met(line.closures),
        }

    def _lag(self, ms: float | None) -> str:
        return self.say("lag_none") if ms is None else self.say("lag", ms=f"{ms:.0f}")

    def _met(self, closures: Mapping[str, Any] | None) -> str:
        if not closures:
            return "–"
        return self.say("of", a=round(closures["met"] * closures["heard"]), b=closures["heard"])

    def _sync(self, part: _Part) -> dict[str, Any] | None:
        report = part.sync
        if report is None or not report.get("openness"):
            return None
        openness, closures = report["openness"], report.get("closures")

        def chance(value: float | None) -> str:
            return "" if value is None else self.say("sync_chance", value=number(value))

        rows = [
            (self.say("sync_fit"), number(openness["r"]), chance(openness["wrong_sound_r"])),
            (self.say("sync_lag"), self._lag(openness["best_lag_ms"]), ""),
        ]
        if closures:
            by_chance = closures["by_chance"]
            luck = None if by_chance is None else by_chance * closures["heard"]
            told = "" if luck is None else self.say("sync_chance", value=round(luck))
            rows.append((self.say("sync_closures"), self._met(closures), told))
        rows.append((self.say("sync_sharpness"), number(report["sharpness_ratio"]), ""))
        if report.get("syncnet"):
            both = (report["syncnet"].get(name) for name in ("lse_c", "lse_d"))
            rows.append((self.say("sync_lse"), " / ".join(number(v) for v in both), ""))
        return {"rows": rows, "flattered": report.get("phones_from") == "sound"}

    def _left(self, outcome: Outcome) -> list[dict[str, Any]]:
        rows = []
        runs = [run for run in outcome.runs() if run.state in LEFT and run.state != _ABSENT]
        for state in dict.fromkeys(run.state for run in runs):
            mine = [run for run in runs if run.state == state]
            frames = sum(len(run) for run in mine)
            shown = sorted(sorted(mine, key=len, reverse=True)[:MAX_RUNS], key=lambda r: r.start)
            rows.append(
                {
                    "what": self.say(
                        "left_row",
                        what=self.say(f"reason_{state}"),
                        frames=frames,
                        seconds=number(self._seconds(frames), 1),
                    ),
                    "calm": state == "silence",
                    "runs": [
                        {
                            **self._moment(self.times[run.start]),
                            "seconds": number(self._seconds(len(run)), 1),
                        }
                        for run in shown
                    ],
                    "more": len(mine) - len(shown),
                }
            )
        return rows

    def _worst(self, part: _Part, moment: Moment) -> dict[str, Any]:
        if moment.why == "restless":
            why = self.say(f"moment_restless_{part.key[1]}")
        else:
            reason = self.say(f"reason_{moment.state}") if moment.state else ""
            why = self.say(f"moment_{moment.why}", seconds=number(moment.seconds, 2), reason=reason)
        pictures = self.album.strip((*part.key, moment.frame))
        return {
            **self._moment(self.times[moment.frame]),
            "why": why,
            "before": pictures[0] if pictures else "",
            "after": pictures[1] if pictures else "",
        }

    def _settings(self, part: _Part) -> list[str]:
        """List what was asked for and is not the default."""
        found = []
        flow, engine = str(part.entry["flow"]), str(part.entry["engine"])
        try:
            settings = self.made.registry.get(flow, engine).spec.settings
            fields = {f.name: f for f in fields_of(settings)}
        except SettingsError:
            # A guest that was removed since.
            fields = {}
        for item in self.made.plan.assignments:
            people = {p.id for p in item.selection.resolve(self.made.scan)}
            if item.flow == flow and part.entry["id"] in people:
                for name, value in item.settings.items():
                    declared = fields.get(name)
                    label = name if declared is None else declared.ui.label
                    if value and declared is not None and declared.kind == "file":
                        value = Path(str(value))
                    found.append(setting_in(self.language, label, value))
        return found

    # --- everybody else ---------------------------------------------------------------------

    def _others(self) -> dict[str, Any]:
        found = self.made.comparison
        told = [self._outside()]
        if len(found.pts) < len(self.times):
            told.append(self.say("repeats"))
        labels = {p.id: p.label for p in self.made.scan.people}
        rows = [
            (labels[key], self._drift(drift))
            for key, drift in sorted(
                found.bystanders.items(), key=lambda kv: kv[1].mean or 0.0, reverse=True
            )
        ][:MAX_NOTICES]
        return {"told": told, "rows": rows}

    def _outside(self) -> str:
        """Say whether anything has changed outside of what was written."""
        found = self.made.comparison
        outside, untouched = found.outside, found.untouched
        if not outside.changed and not untouched.changed:
            return self.say("outside_same", frames=len(found.pts))
        mean, alone = number(outside.mean, 2), number(untouched.mean, 2)
        if untouched.mean is None:
            return self.say("outside_alone", mean=mean)
        if outside.mean is None or outside.mean <= _explained(untouched):
            return self.say("outside_calm", mean=mean, alone=alone)
        when = clock(float(self.times[outside.worst_frame]))
        return self.say("outside_more", mean=mean, alone=alone, when=when)

    def _drift(self, drift: Drift) -> str:
        """Say whether somebody who was not picked is as before."""
        if not drift.changed:
            return self.say("drift_none")
        found = self.made.comparison
        beside = found.outside if found.untouched.mean is None else found.untouched
        calm = (drift.mean or 0.0) <= _explained(beside)
        return self.say("drift_calm" if calm else "drift_more", mean=number(drift.mean, 2))

    def _provenance(self) -> dict[str, Any]:
        report, plan = self.made.report, self.made.plan
        marks = []
        if any(entry.get("synthetic") for entry in report["people"]):
            marks.append(self.say("ai_marked"))
        if plan.output.label_card != "off":
            marks.append(self.say("ai_label"))
        return {
            "files": [
                (
                    self.say("source"),
                    Path(report["source"]["path"]).name,
                    report["source"].get("sha256"),
                ),
                (self.say("result"), self.name, report["result"].get("sha256")),
            ],
            "models": [f"{m.get('id')} ({m.get('licence', '')})" for m in report.get("models", ())],
            "consent": list(dict.fromkeys(a.consent for a in plan.assignments if a.consent)),
            "marks": marks,
        }
