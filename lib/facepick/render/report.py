"""Sidecar: what was changed, with what, and which frames were left alone and why."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

from facepick import __version__
from facepick.compositing.patch import PatchKind
from facepick.engines.engine import EngineSpec
from facepick.errors import UserInputError
from facepick.files import read_json
from facepick.media.marks import AIGC, AIGC_BEFORE, Marks
from facepick.notices import Notice
from facepick.people.person import Person, Scan
from facepick.render.plan import RenderPlan

__all__ = [
    "DIGITAL_SOURCE_TYPE",
    "REVIEW_MARK",
    "FrameNote",
    "Tally",
    "build_report",
    "container_metadata",
    "is_report",
    "is_review",
    "kind_of",
    "read_report",
    "review_of",
    "sidecar_of",
    "tallied",
]

FORMAT = "facepick-report/1"

_COUNTS = {"*": int}
_FORM: dict[str, Any] = {
    "tool": {"name": str, "version": str},
    "created": str,
    "plan": dict,
    "source": {"path": str, "frames": int, "left_out?": [str]},
    "result": {"path": str, "sha256?": str, "unheard?": [{"*": object}], "review?": str},
    "people": [
        {
            "id": str,
            "flow": str,
            "engine": str,
            "frames_changed": int,
            "frames_closed?": int,
            "frames_left": _COUNTS,
            "measured": dict,
        }
    ],
    "frames": [{"frame": int, "changes?": [{"person": str, "flow?": str}]}],
}
"""What every report has, and of which kind; "?" marks what older ones may lack."""

DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)
"""IPTC NewsCodes: a composite that includes generative-AI elements; right for lip sync and swap,
where the rest of the picture was filmed."""


@dataclass(frozen=True, kw_only=True)
class FrameNote:
    """Outcome for one person in one output frame.

    Attributes:
        frame: index in the output.
        person, flow, engine: whose, and what was asked.
        done: whether pixels were changed.
        reason: why not, one of the texts of `facepick.compositing.patch.Reason`; None when done.
        box: rectangle that was written, [x0, y0, x1, y1] display pixels; None when not done.
        guessed: the face was not seen in this frame, only bridged.
        kind: what was done to the face.
        note: a word of the engine.
    """

    frame: int
    person: str
    flow: str
    engine: str
    done: bool
    reason: str | None = None
    box: tuple[int, int, int, int] | None = None
    guessed: bool = False
    kind: PatchKind = PatchKind.DRAWN
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON; `from_json` takes it back."""
        entry: dict[str, Any] = {"person": self.person, "flow": self.flow, "done": self.done}
        if self.reason is not None:
            entry["reason"] = self.reason
        if self.box is not None:
            entry["box"] = list(self.box)
        if self.guessed:
            entry["guessed"] = True
        if self.kind is not PatchKind.DRAWN:
            entry["kind"] = self.kind.value
        if self.note:
            entry["note"] = self.note
        return entry

    @classmethod
    def from_json(cls, frame: int, engine: str, entry: Mapping[str, Any]) -> FrameNote:
        """Read what `to_json` gave."""
        box = entry.get("box")
        return cls(
            frame=frame,
            person=entry["person"],
            flow=entry["flow"],
            engine=engine,
            done=entry["done"],
            reason=entry.get("reason"),
            box=None if box is None else tuple(box),
            guessed=entry.get("guessed", False),
            kind=kind_of(entry),
            note=entry.get("note", ""),
        )


def kind_of(entry: Mapping[str, Any]) -> PatchKind:
    """Read what was done to a face from its entry in a report; older ones say so in the note."""
    first = str(entry.get("note", "")).partition(" ")[0].rstrip(",")
    for word in (entry.get("kind"), first):
        if word in [kind.value for kind in PatchKind]:
            return PatchKind(word)
    return PatchKind.DRAWN


@dataclass(kw_only=True)
class Tally:
    """Outcome for one person by one flow, over all frames.

    Attributes:
        frames_changed, frames_guessed: how many were changed; and changed without being seen.
        frames_closed: in how many of those changed the mouth was only shut.
        left: how many were left alone, by reason.
        changed: those changed as half-open [start, stop) stretches.
    """

    frames_changed: int = 0
    frames_guessed: int = 0
    frames_closed: int = 0
    left: Counter[str] = field(default_factory=Counter)
    changed: list[list[int]] = field(default_factory=list)

    def add(self, note: FrameNote) -> None:
        """Count a note; those of one person come in the order of frames."""
        if not note.done:
            self.left[str(note.reason)] += 1
            return
        self.frames_changed += 1
        self.frames_guessed += note.guessed
        self.frames_closed += note.kind is PatchKind.CLOSED
        if self.changed and self.changed[-1][1] == note.frame:
            self.changed[-1][1] = note.frame + 1
        else:
            self.changed.append([note.frame, note.frame + 1])


def tallied(notes: Iterable[FrameNote]) -> dict[tuple[str, str], Tally]:
    """Tally by person and flow."""
    found: dict[tuple[str, str], Tally] = {}
    for note in notes:
        found.setdefault((note.person, note.flow), Tally()).add(note)
    return found


def sidecar_of(result: Path) -> Path:
    """Name the sidecar of a result.

    Raises:
        UserInputError: the path has no name, as the root has none.

    >>> sidecar_of(Path("out.mp4")).name
    'out.mp4.facepick.json'
    """
    if not result.name:
        raise UserInputError(f"{result} is a folder.", hint="Give the file of a result.")
    return result.with_name(result.name + ".facepick.json")


def review_of(result: Path) -> Path:
    """Name the review of a result.

    >>> review_of(Path("out.mp4")).name
    'out.mp4.review.html'
    """
    return result.with_name(result.name + ".review.html")


def build_report(
    *,
    plan: RenderPlan,
    scan: Scan,
    work: Sequence[tuple[EngineSpec, Person]],
    tallies: Mapping[tuple[str, str], Tally],
    frames: int,
    result_hash: str,
    models: Sequence[Mapping[str, Any]],
    engine_reports: Sequence[Mapping[str, Any]],
    nudity: Mapping[str, Any] | None = None,
    left_out: Sequence[str] = (),
    unheard: Sequence[Mapping[str, Any]] = (),
    stretch: Fraction = Fraction(1),
    notices: Sequence[Notice] = (),
) -> dict[str, Any]:
    """Build the sidecar as plain JSON.

    But for the result's path, which is known when it is published, and for its "frames", which may
    be too many to be held.

    Args:
        work: engine and person of every assignment, as in `RenderPlan.engines`.
        tallies: what `tallied` found.
        frames: number of output frames.
        models: id, file and sha256 of every model that was used.
        engine_reports: what each session measured, in the order of `work`.
        nudity: what the check before a swap found; None where there was none.
        left_out: what of the source could not be kept, a phrase each.
        unheard: speech for which the video is too short, `facepick.render.sound.Unheard`.
        stretch: how many times slower the picture is shown than it was filmed; where that is not 1
            every entry of "frames" has its "time" and its "source_time".
        notices: all that people should know.
    """
    people = [
        _person_row(spec, person, tallies.get((person.id, spec.flow), Tally()), measured)
        for (spec, person), measured in zip(work, engine_reports, strict=True)
    ]
    return {
        "format": FORMAT,
        "tool": {"name": "facepick", "version": __version__},
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "plan": plan.to_json(),
        "source": {
            "path": str(scan.video.path),
            "sha256": scan.content_hash,
            "frames": scan.frames,
            "decode_failures": scan.decode_failures,
            "left_out": list(left_out),
        },
        "result": {
            "sha256": result_hash,
            "frames": frames,
            "unheard": [dict(u) for u in unheard],
            **({} if stretch == 1 else {"remap": {"stretch": round(float(stretch), 9)}}),
        },
        "models": [dict(m) for m in models],
        **({} if nudity is None else {"nudity": dict(nudity)}),
        "people": people,
        "notices": [notice.to_json() for notice in notices],
    }


def _person_row(
    spec: EngineSpec, person: Person, tally: Tally, measured: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "confidence": round(person.confidence, 3),
        "flow": spec.flow,
        "engine": spec.id,
        "synthetic": spec.synthetic,
        "frames_changed": tally.frames_changed,
        "frames_guessed": tally.frames_guessed,
        "frames_closed": tally.frames_closed,
        "frames_left": dict(sorted(tally.left.items())),
        "changed": tally.changed,
        "measured": {k: v for k, v in measured.items() if k != "notices"},
    }


def container_metadata(
    plan: RenderPlan, work: Sequence[tuple[EngineSpec, Person]], before: Marks | None = None
) -> dict[str, str]:
    """Build keys for the container: what was done, by what, and the marks for synthetic media.

    The AIGC fields follow GB 45438-2025 (China), the digital source type IPTC's NewsCodes.

    Args:
        before: marks of the source; its AIGC fields stay beside those of the result.
    """
    if not plan.output.provenance:
        return {}
    flows = list(dict.fromkeys(spec.flow for spec, _ in work))
    words = {"hide": "face hidden", "lipsync": "lips re-synced", "swap": "face swapped"}
    done = ", ".join(words[f] for f in flows)
    keys = {"comment": f"Edited with facepick {__version__}: {done}."}
    if any(spec.synthetic for spec, _ in work):
        keys["comment"] = f"AI-edited with facepick {__version__}: {done}."
        keys["digital_source_type"] = DIGITAL_SOURCE_TYPE
        keys[AIGC] = _compact(_aigc_fields(plan))
        first = None if before is None else before.aigc_before or before.aigc
        if first:
            keys[AIGC_BEFORE] = _compact(first)
    return keys


def _aigc_fields(plan: RenderPlan) -> dict[str, str]:
    output = plan.output
    return {
        "Label": output.aigc_label,
        "ContentProducer": output.content_producer or f"facepick {__version__}",
        "ProduceID": output.produce_id or plan.content_hash[:32],
        "ReservedCode1": output.reserved_code1 or "",
        "ContentPropagator": output.content_propagator or "",
        "PropagateID": output.propagate_id or "",
        "ReservedCode2": output.reserved_code2 or "",
    }


def _compact(fields: Mapping[str, str]) -> str:
    return json.dumps(dict(fields), separators=(",", ":"), ensure_ascii=False)


def is_report(path: Path) -> bool:
    """Tell whether a file begins as reports of ours do; it may be large, and is not read."""
    try:
        with open(path, "rb") as file:
            begin = file.read(64).decode("ascii", "replace")
    except OSError:
        return False
    return re.match(r'\s*\{\s*"format"\s*:\s*"facepick-report/', begin) is not None


REVIEW_MARK = "<!doctype html><!-- facepick-review/1 -->"
"""With it every review begins, so that one of ours may be replaced."""


def is_review(path: Path) -> bool:
    """Tell whether a file begins as reviews of ours do."""
    try:
        with open(path, "rb") as file:
            return file.read(len(REVIEW_MARK)) == REVIEW_MARK.encode()
    except OSError:
        return False


def read_report(result: Path) -> dict[str, Any]:
    """Read the sidecar of a result (or the sidecar itself).

    Raises:
        UserInputError: there is none, or it is not one of ours.
    """
    path = result if result.name.endswith(".facepick.json") else sidecar_of(result)
    try:
        data = read_json(path)
    except OSError as error:
        raise UserInputError(
            f"{result.name} has no report beside it ({path.name}).",
            hint="Keep the .facepick.json file beside the video.",
        ) from error
    except ValueError as error:
        raise UserInputError(f"{path.name} is not a facepick report: {error}.") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise UserInputError(f"{path.name} is not a facepick report.")
    wrong = _wrong(data, _FORM)
    if wrong is not None:
        raise UserInputError(f'{path.name} is damaged: its "{wrong}" is missing or wrong.')
    return data


def _wrong(data: Any, form: Any) -> str | None:
    """Find where JSON is not of a form, such as ``people.2.measured``, or None."""
    if isinstance(form, type):
        # JSON has numbers with and without a point; true is no number.
        good = isinstance(data, form) and not (form is int and isinstance(data, bool))
        return None if good else ""
    if isinstance(form, list):
        if not isinstance(data, list):
            return ""
        parts: Iterable[tuple[str, Any, Any]] = ((str(i), d, form[0]) for i, d in enumerate(data))
    elif not isinstance(data, dict):
        return ""
    elif "*" in form:
        parts = ((key, value, form["*"]) for key, value in data.items())
    else:
        names = ((key.rstrip("?"), key, kind) for key, kind in form.items())
        parts = ((name, data.get(name), kind) for name, key, kind in names
                 if name in data or not key.endswith("?"))  # fmt: skip
    for name, part, kind in parts:
        deeper = _wrong(part, kind)
        if deeper is not None:
            return f"{name}.{deeper}" if deeper else name
    return None
