"""Agreement of lips and sound of a result, measured on its own pixels.

Four kinds of numbers, from weak to strong:

* *Loudness*: correlation of the mouth's opening with the sound's level.  Weak: natural speech
  scores anywhere between -0.3 and 0.4 with its own sound, and a mouth that merely flaps with the
  level scores 0.8.  It is given for the lag, not as a mark.
* *Formant*: correlation with the level between 500 and 1000 Hz, where the first formant of open
  vowels lies.  Openings of true phones score 0.35 to 0.73 with it (eight speeches, mean 0.54).
* *Openness*: correlation with how far the lips are open for the phones that are said.
* *Closures*: in how many "p", "b" and "m" the lips really meet.

The last two need words or times of phones.  Phones guessed from the sound are what `rewrite` itself
goes by; a result is not marked with what made it.

Each stands beside the same number for wrong sound (the curves moved in time), without which none
of them means anything.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.masks import Area, area_around
from facepick.compositing.patch import FaceRequest
from facepick.engines.lipsync.mouth_blend import lower_face
from facepick.faces.detection import FloatArray
from facepick.faces.landmarks468 import LIPS_OUTER
from facepick.faces.mesh import mouth_opening
from facepick.measure.lip_sync_plot import SyncCurves, draw_sync
from facepick.media.dub import line_seconds
from facepick.publishing import write_output
from facepick.speech.acoustic import band_levels
from facepick.speech.line import Speech

__all__ = ["SyncMeter", "mouth_opening", "write_report"]

Array = npt.NDArray[np.float64]

# Columns of the curves: every 10 ms.
_STEP = 0.01
_LAGS = np.arange(-30, 31) * _STEP
_MIN_FRAMES = 12
# Those of `band_levels` centred on 567 to 934 Hz.
_FORMANT_BANDS = slice(4, 8)
# Below this the mesh network itself doubts that it sees a face.
_MIN_MESH_SCORE = 0.5
# How surely the lips meet: "f" and "v", in which a lip meets the teeth, come to 0.6 at most.
_SHUT = 0.65
# A closure counts within one frame at 25 per second of where it is heard.
_CLOSURE_SLACK = 0.04
# How far speech is moved for the "wrong sound" row: beyond any lag, and by odd amounts, so that
# a regular rhythm does not fall onto itself.
_WRONG_SHIFTS = (0.83, 1.37, 1.91, 2.53, 3.07, -0.71, -1.27, -1.93, -2.41, -3.11)

# By how much the best lag's r must surpass that of all wrong sound: speech played backwards
# surpasses it by 0.15, lips that follow the phones by 0.5.
_CLEARLY = 0.2


@dataclass(frozen=True)
class _Row:
    time: float
    shot: int
    opening: float
    made: bool
    sharpness: float | None
    seam: float | None


class SyncMeter:
    """Meter that collects one person's frames of a result, in any order of people, then reports.

    Args:
        speech: the person's new speech.
        language: of the words of its lines, for their pronunciation (espeak-ng's names).
    """

    def __init__(self, speech: Speech, *, language: str = "en-us") -> None:
        self._speech = speech
        self._language = language
        self._rows: list[_Row] = []
        self._reasons: Counter[str] = Counter()
        self._said: list[tuple[float, float, str | None]] | None = None

    def add(
        self, result: FaceRequest, *, original: FaceRequest | None = None, reason: str | None = None
    ) -> None:
        """Add one frame.

        Args:
            result: the person in the result, its mesh found on the result's own pixels.
            original: the same crop of the source, to compare with; its mesh says where to look.
            reason: why the frame was left alone; None when it was made.
        """
        self._reasons["made" if reason is None else reason] += 1
        if result.mesh is None or result.mesh_score < _MIN_MESH_SCORE:
            return
        sharpness = seam = None
        if original is not None and original.mesh is not None and reason is None:
            sharpness, seam = _compared(result, original)
        row = _Row(
            time=float(result.time),
            shot=result.shot,
            opening=mouth_opening(result.mesh),
            made=reason is None,
            sharpness=sharpness,
            seam=seam,
        )
        self._rows.append(row)

    def report(self) -> dict[str, Any]:
        """Report everything as plain JSON; None where there was too little to measure."""
        rows = sorted(self._rows, key=lambda r: r.time)
        curves = _curves(self._speech, self._language)
        made = [r for r in rows if r.made]
        total = sum(self._reasons.values())
        lines = [
            {
                "start": round(start, 3),
                "stop": round(stop, 3),
                "text": text,
                **_agreement([r for r in made if start <= r.time < stop], curves),
            }
            for start, stop, text in self._spans()
        ]
        return {
            "frames": dict(sorted(self._reasons.items())),
            "share_made": round(self._reasons["made"] / total, 4) if total else None,
            **_agreement(made, curves),
            "phones_from": curves.route,
            "sharpness_ratio": _median([r.sharpness for r in made]),
            "seam_contrast": _median([r.seam for r in made]),
            "lines": lines,
        }

    def plot(self, path: Path, *, title: str = "", force: bool = False) -> None:
        """Plot the mouth's opening over the opening that the phones ask for, and the figures, as
        PNG.

        Args:
            title: before the figures; ASCII is drawn, the rest shows as "?".
            force: overwrite a file that facepick did not write.
        """
        import cv2

        rows = sorted(self._rows, key=lambda r: r.time)
        curves = _curves(self._speech, self._language)
        picture = draw_sync(
            SyncCurves(
                seconds=len(self._speech.samples) / Speech.SAMPLE_RATE,
                level=curves.loudness,
                wanted=curves.wanted,
                wanted_by="the phones" if curves.known.any() else "the first formant",
                shut=[(a * _STEP, b * _STEP) for a, b in _runs(curves.shut)],
                times=np.array([r.time for r in rows], np.float64),
                opening=np.array([r.opening for r in rows], np.float64),
                made=np.array([r.made for r in rows], np.bool_),
                starts=[start for start, _, _ in self._spans()],
                step=_STEP,
            ),
            _headline(title, self.report()),
        )
        done, data = cv2.imencode(".png", picture)
        if done:
            write_output(path, data.tobytes(), force=force)

    def spoken_at(self, seconds: float) -> bool:
        """Tell whether a line is said at this moment."""
        if self._said is None:
            self._said = self._spans()
        return any(start <= seconds < stop for start, stop, _ in self._said)

    def _spans(self) -> list[tuple[float, float, str | None]]:
        """List start, end and words of each line; a line ends at the latest where the next
        begins."""
        lines = sorted(self._speech.lines, key=lambda line: line.start_seconds)
        end = len(self._speech.samples) / Speech.SAMPLE_RATE
        spans = []
        for line, after in itertools.zip_longest(lines, lines[1:]):
            stop = end if after is None else after.start_seconds
            stop = min(stop, line.start_seconds + float(line_seconds(line)))
            if stop > line.start_seconds:
                spans.append((line.start_seconds, stop, line.text))
        return spans


def write_report(report: dict[str, Any], path: Path) -> None:
    """Write the report as an indented JSON file."""
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@dataclass(frozen=True, eq=False)
class _Curves:
    """Curves of the sound, every 10 ms: (t,) each."""

    loudness: Array
    formant: Array
    opening: Array
    closure: Array
    spoken: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    route: str

    @property
    def shut(self) -> npt.NDArray[np.bool_]:
        """Columns in which the lips surely meet, as far as the phones are known, (t,)."""
        return np.asarray((self.closure > _SHUT) & self.known)

    @property
    def wanted(self) -> Array:
        """What the plot draws over the mouth: openings, or the formant where no phone is known."""
        return self.opening if self.known.any() else self.formant


def _curves(speech: Speech, language: str) -> _Curves:
    from facepick.speech.visemes import curves_of

    found = curves_of(speech, language=language)
    level = _loudness(speech.samples, len(found.opening))
    spoken = level > max(-60.0, float(level.max(initial=-100.0)) - 35)
    return _Curves(
        loudness=level,
        formant=_formant(speech.samples)[: len(level)],
        opening=np.asarray(found.opening, np.float64),
        closure=np.asarray(found.closure, np.float64),
        spoken=spoken,
        known=found.known,
        route=found.route,
    )


def _headline(title: str, report: Mapping[str, Any]) -> list[str]:
    """Word two lines over the plot."""
    frames = ", ".join(f"{count} {what}" for what, count in report["frames"].items())
    first = f"{title}: {frames} frames; phones from the {report['phones_from']}"
    openness, closures = report["openness"], report["closures"]
    marked = openness or report["formant"]
    if marked is None:
        return [first, "too little speech to measure"]
    lag = marked["best_lag_ms"]
    second = "" if openness else "by the first formant, for no words are known: "
    second += f"r {marked['r']:.2f} (wrong sound {marked['wrong_sound_r']:.2f}), lag " + (
        "unclear" if lag is None else f"{lag:+d} ms"
    )
    if closures is not None:
        second += f"; closures met {closures['met']:.0%} of {closures['heard']}"
        if closures["by_chance"] is not None:
            second += f" (by chance {closures['by_chance']:.0%})"
    if report["sharpness_ratio"] is not None:
        second += f"; sharpness {report['sharpness_ratio']:.2f}"
    return [first, second]


def _loudness(samples: npt.NDArray[np.float32], columns: int) -> Array:
    """Measure the level in dB over 40 ms around each column."""
    hop = round(_STEP * Speech.SAMPLE_RATE)
    power = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    middle = np.arange(columns) * hop
    first = np.clip(middle - 2 * hop, 0, len(samples))
    last = np.clip(middle + 2 * hop, 0, len(samples))
    mean = (power[last] - power[first]) / np.maximum(last - first, 1)
    return np.asarray(10 * np.log10(np.maximum(mean, 1e-10)))


def _formant(samples: npt.NDArray[np.float32]) -> Array:
    """Measure the level in dB of the bands where the first formant of open vowels lies, (t,)."""
    return np.asarray(band_levels(samples)[:, _FORMANT_BANDS].mean(axis=1), np.float64)


def _agreement(rows: Sequence[_Row], curves: _Curves) -> dict[str, Any]:
    columns = len(curves.spoken)
    heard = [r for r in rows if 0 <= round(r.time / _STEP) < columns]
    heard = [r for r in heard if curves.spoken[round(r.time / _STEP)]]
    if len(heard) < _MIN_FRAMES:
        return {"loudness": None, "formant": None, "openness": None, "closures": None}
    times = np.array([r.time for r in heard])
    opening = np.array([r.opening for r in heard])
    told = curves.known[np.round(times / _STEP).astype(int)]
    enough = int(told.sum()) >= _MIN_FRAMES
    return {
        "loudness": _correlation(times, opening, curves.loudness),
        "formant": _correlation(times, opening, curves.formant),
        "openness": _correlation(times[told], opening[told], curves.opening) if enough else None,
        "closures": _closures(rows, curves, float(times.min()), float(times.max())),
    }


def _correlation(times: Array, opening: Array, curve: Array) -> dict[str, Any]:
    """Correlate: r as it stands, the lag at which it is largest, and r with wrong sound.

    Some lag is always the best.  It is only given where no wrong sound, moved by as many lags,
    fits nearly as well.
    """

    def around(shift: float) -> list[float]:
        return [_r(opening, _at(curve, times + shift + lag)) for lag in _LAGS]

    by_lag = around(0.0)
    best, middle = int(np.argmax(by_lag)), len(_LAGS) // 2
    wrong = [around(shift) for shift in _WRONG_SHIFTS]
    stands_out = by_lag[best] > max(max(row) for row in wrong) + _CLEARLY
    return {
        "r": round(by_lag[middle], 3),
        # Positive: the lips come after the sound.
        "best_lag_ms": round(-1000 * float(_LAGS[best])) if stands_out else None,
        "best_r": round(by_lag[best], 3),
        "wrong_sound_r": round(float(np.mean([row[middle] for row in wrong])), 3),
    }


def _at(curve: Array, times: Array) -> Array:
    """Sample the curve at these times; beyond its ends it starts again from the other."""
    return np.asarray(
        np.interp(times, np.arange(len(curve)) * _STEP, curve, period=len(curve) * _STEP)
    )


def _r(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-12 else 0.0


def _closures(
    rows: Sequence[_Row], curves: _Curves, start: float, stop: float
) -> dict[str, Any] | None:
    """Count in how many closures that are heard the lips meet, and in how many by chance."""
    heard = [
        (a * _STEP, b * _STEP)
        for a, b in _runs(curves.shut)
        if start <= a * _STEP and b * _STEP <= stop
    ]
    times = np.array([r.time for r in rows])
    opening = np.array([r.opening for r in rows])
    low, high = np.percentile(opening, [5, 90])
    # Shut: within a sixth of the way from this person's most closed to most open mouth.
    shut = opening <= low + (high - low) / 6

    def share(shift: float) -> float | None:
        hits = []
        for a, b in heard:
            middle = round(((a + b) / 2 + shift) / _STEP)
            # Lips that rest in a pause are shut, which is no luck.
            if shift and not (0 <= middle < len(curves.spoken) and curves.spoken[middle]):
                continue
            near = (times >= a + shift - _CLOSURE_SLACK) & (times <= b + shift + _CLOSURE_SLACK)
            if near.any():
                hits.append(bool(shut[near].any()))
        return float(np.mean(hits)) if hits else None

    found = share(0.0)
    if found is None:
        return None
    others = [s for s in map(share, _WRONG_SHIFTS) if s is not None]
    return {
        "heard": len(heard),
        "met": round(found, 3),
        "by_chance": round(float(np.mean(others)), 3) if others else None,
    }


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Find half-open stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _compared(result: FaceRequest, original: FaceRequest) -> tuple[float | None, float | None]:
    """Compare sharpness of the mouth with the original's, and contrast of the seam."""
    import cv2

    if result.crop.shape != original.crop.shape or result.origin != original.origin:
        return None, None
    assert original.mesh is not None
    height, width = original.crop.shape[:2]
    lips = original.local(original.mesh[list(LIPS_OUTER)])
    pad = 0.15 * float(np.ptp(lips[:, 0]))
    area = area_around(lips, pad=pad).clipped(0, 0, width, height)
    if area.width < 8 or area.height < 8:
        return None, None
    new, old = (_grey(r.crop, area) for r in (result, original))
    before = float(cv2.Laplacian(old, cv2.CV_32F).var())
    ratio = float(cv2.Laplacian(new, cv2.CV_32F).var()) / before if before > 1e-3 else None
    return ratio, _seam(result, original)


def _seam(result: FaceRequest, original: FaceRequest) -> float | None:
    """Measure how steep the change is along the outline of the lower face, against the picture
    itself.

    The gradient of (result - original) along the outline, divided by the original's own gradient
    there plus 2 grey levels per pixel; 0 where nothing was changed, 1 where the change is as
    steep as the edges that were there.
    """
    import cv2

    assert original.mesh is not None
    outline = original.local(lower_face(original.mesh))
    height, width = original.crop.shape[:2]
    area = area_around(outline, pad=12).clipped(0, 0, width, height)
    if area.width < 16 or area.height < 16:
        return None
    new, old = (cv2.GaussianBlur(_grey(r.crop, area), (0, 0), 1.5) for r in (result, original))
    where = np.zeros((area.height, area.width), np.uint8)
    local = (outline - np.array(area.origin)).round().astype(np.int32)
    cv2.polylines(where, [local], True, 255, max(3, round(0.04 * area.height)))
    mask = where > 0
    change = _gradient(np.asarray(new - old, np.float32))[mask].mean()
    own = _gradient(np.asarray(old, np.float32))[mask].mean()
    return float(change) / (float(own) + 2.0)


def _gradient(picture: FloatArray) -> FloatArray:
    import cv2

    x, y = (cv2.Sobel(picture, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) for dx in (1, 0))
    return np.asarray(np.hypot(x, y), np.float32)


def _grey(crop: npt.NDArray[np.uint8], area: Area) -> FloatArray:
    import cv2

    part = crop[area.y0 : area.y0 + area.height, area.x0 : area.x0 + area.width]
    return np.asarray(cv2.cvtColor(part, cv2.COLOR_BGR2GRAY), np.float32)


def _median(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return round(float(np.median(known)), 3) if known else None
