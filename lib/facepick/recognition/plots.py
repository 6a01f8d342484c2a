"""Charts, drawn with OpenCV: two curves are no reason to depend on a plotting library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.publishing import write_output
from facepick.recognition.evaluate import Dataset, Evaluation, MetricReport
from facepick.recognition.metrics import paired_distances

__all__ = ["draw_distances", "draw_histogram", "draw_roc", "put_text", "write_picture"]

Canvas = npt.NDArray[np.uint8]

_INK = (40, 40, 40)
_GRID = (225, 225, 225)
_SAME = (80, 160, 60)
_OTHER = (70, 80, 210)
_CURVE = (180, 110, 30)


def put_text(
    canvas: Canvas,
    text: str,
    at: tuple[int, int],
    *,
    size: float = 0.45,
    color: tuple[int, int, int] = _INK,
    bold: bool = False,
) -> None:
    """Write ASCII text in place with its base line at `at`; other letters become ``?``."""
    import cv2

    plain = text.encode("ascii", "replace").decode("ascii")
    cv2.putText(
        canvas, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size, color, 2 if bold else 1, cv2.LINE_AA
    )


def write_picture(path: Path, image: Canvas, *, force: bool = False) -> None:
    """Write a PNG or JPEG by the suffix of `path`, whatever letters the path has.

    Raises what `facepick.publishing.write_output` raises.
    """
    import cv2

    good, data = cv2.imencode(path.suffix or ".png", image)
    if not good:
        raise ValueError(f"{path.name} cannot be encoded")
    write_output(path, data.tobytes(), force=force)


def _axes(
    title: str, x_label: str, y_label: str, *, width: int = 640, height: int = 480
) -> tuple[Canvas, tuple[int, int, int, int]]:
    import cv2

    canvas = np.full((height, width, 3), 255, np.uint8)
    x0, y0, x1, y1 = 70, 46, width - 24, height - 56
    cv2.rectangle(canvas, (x0, y0), (x1, y1), _INK, 1)
    put_text(canvas, title, (x0, 18), size=0.5)
    put_text(canvas, x_label, ((x0 + x1) // 2 - 4 * len(x_label), height - 14))
    put_text(canvas, y_label, (8, y0 - 8))
    return canvas, (x0, y0, x1, y1)


def _ticks(
    canvas: Canvas,
    frame: tuple[int, int, int, int],
    xs: list[tuple[float, str]],
    ys: list[tuple[float, str]],
) -> None:
    import cv2

    x0, y0, x1, y1 = frame
    for share, label in xs:
        x = round(x0 + share * (x1 - x0))
        cv2.line(canvas, (x, y0 + 1), (x, y1 - 1), _GRID, 1)
        put_text(canvas, label, (x - 4 * len(label), y1 + 18), size=0.4)
    for share, label in ys:
        y = round(y1 - share * (y1 - y0))
        cv2.line(canvas, (x0 + 1, y), (x1 - 1, y), _GRID, 1)
        put_text(canvas, label, (x0 - 9 * len(label) - 4, y + 4), size=0.4)


def draw_roc(evaluation: Evaluation, report: MetricReport) -> Canvas:
    """Draw the ROC curve over a logarithmic false positive rate, (480, 640, 3) uint8 BGR."""
    import cv2

    title = f"{evaluation.detector} / {evaluation.alignment} / {evaluation.model}, {report.metric}"
    canvas, frame = _axes(title, "false positive rate", "true positive rate")
    x0, y0, x1, y1 = frame
    # Down to one wrong pair among all of two people, at least three decades.
    decades = max(3, int(np.ceil(np.log10(max(10, evaluation.impostor)))))
    ticks = [(i / decades, f"1e-{decades - i}" if i < decades else "1") for i in range(decades + 1)]
    _ticks(canvas, frame, ticks, [(i / 5, f"{i / 5:.1f}") for i in range(6)])
    fpr = np.maximum(report.roc[:, 0], 10.0**-decades)
    xs = x0 + (np.log10(fpr) / decades + 1) * (x1 - x0)
    ys = y1 - report.roc[:, 1] * (y1 - y0)
    points: list[tuple[int, int]] = []
    for x, y in zip(xs, ys, strict=True):
        if points:
            points.append((round(float(x)), points[-1][1]))
        points.append((round(float(x)), round(float(y))))
    cv2.polylines(canvas, [np.array(points, np.int32)], False, _CURVE, 2, cv2.LINE_AA)
    put_text(canvas, f"AUC {report.auc:.4f}   EER {report.eer:.4f}", (x0 + 190, y1 - 34))
    put_text(
        canvas,
        f"{evaluation.genuine} pairs of one person, {evaluation.impostor} of two",
        (x0 + 190, y1 - 14),
    )
    return canvas


def draw_histogram(evaluation: Evaluation, report: MetricReport) -> Canvas:
    """Draw distances of both kinds of pairs and the threshold, (480, 640, 3) uint8 BGR."""
    import cv2

    title = f"{evaluation.detector} / {evaluation.alignment} / {evaluation.model}"
    canvas, frame = _axes(title, f"{report.metric} distance", "share of pairs")
    x0, y0, x1, y1 = frame
    low = min(float(report.same[0]), float(report.different[0]))
    high = max(float(report.same[-1]), float(report.different[-1]), low + 1e-6)
    edges = np.linspace(low, high, 41)
    counts = [np.histogram(d, edges)[0] / len(d) for d in (report.same, report.different)]
    top = max(float(np.max(c)) for c in counts)
    _ticks(
        canvas,
        frame,
        [(i / 4, f"{low + (high - low) * i / 4:.2f}") for i in range(5)],
        [(i / 4, f"{top * i / 4:.2f}") for i in range(5)],
    )
    for values, color in zip(counts, (_SAME, _OTHER), strict=True):
        layer = canvas.copy()
        for i, value in enumerate(values):
            left = round(x0 + i / 40 * (x1 - x0))
            right = round(x0 + (i + 1) / 40 * (x1 - x0)) - 1
            y = round(y1 - float(value) / top * (y1 - y0 - 8))
            if value > 0:
                cv2.rectangle(layer, (left, y), (right, y1), color, -1)
        canvas = np.asarray(cv2.addWeighted(layer, 0.6, canvas, 0.4, 0), np.uint8)
    at = round(x0 + (report.threshold - low) / (high - low) * (x1 - x0))
    cv2.line(canvas, (at, y0), (at, y1), _INK, 2)
    put_text(canvas, f"threshold {report.threshold:.3f}", (min(at + 6, x1 - 130), y0 + 16))
    put_text(canvas, "one person", (x0 + 10, y0 + 18), color=_SAME, bold=True)
    put_text(canvas, "two people", (x0 + 10, y0 + 38), color=_OTHER, bold=True)
    return canvas


MAX_SIDE = 1400
"""Of the square of distances, in pixels: with more photos each has one pixel."""


def draw_distances(evaluation: Evaluation, dataset: Dataset) -> Canvas:
    """Draw the cosine distance of every photo to every other as a square, person by person.

    Dark is near.  Where all is right, dark squares stand along the diagonal and nowhere else; what
    is on the wrong side of the threshold is red: two people who are near, or one who is far.

    Returns:
        (h, w, 3) uint8 BGR.
    """
    import cv2

    places = sorted(evaluation.embeddings, key=lambda p: (dataset.person[p], p))
    rows = np.stack([evaluation.embeddings[p] for p in places])
    names = np.array([dataset.person[p] for p in places])
    count = len(rows)
    a, b = np.divmod(np.arange(count * count), count)
    distance = paired_distances(rows[a], rows[b], "cosine").reshape(count, count)
    same = names[:, None] == names[None]
    limit = evaluation.report("cosine").threshold
    grey = np.clip(distance, 0.0, 1.0) * 200 + 40
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    wrong = (distance <= limit) != same
    picture[wrong] = (60, 60, 220)
    cell = max(1, min(16, MAX_SIDE // count))
    square = np.repeat(np.repeat(picture, cell, axis=0), cell, axis=1)
    label = 12 + 8 * max(len(str(name)) for name in names)
    top, side = 56, square.shape[0]
    canvas = np.full((top + side + 20, label + side + 20, 3), 255, np.uint8)
    canvas[top : top + side, label : label + side] = square
    starts = np.flatnonzero(np.r_[True, names[1:] != names[:-1]])
    for start, stop in zip(starts, [*starts[1:], count], strict=True):
        y, x = top + start * cell, label + start * cell
        cv2.line(canvas, (label, y), (label + side, y), _GRID, 1)
        cv2.line(canvas, (x, top), (x, top + side), _GRID, 1)
        if (stop - start) * cell >= 9:
            middle = top + (start + stop) * cell // 2 + 4
            put_text(canvas, str(names[start]), (6, middle), size=0.4)
    pairs = (wrong.sum() - np.trace(wrong)) // 2
    put_text(
        canvas,
        f"{evaluation.detector} / {evaluation.alignment} / {evaluation.model}, cosine distance: "
        f"dark near, light far",
        (6, 20),
    )
    put_text(
        canvas,
        f"red: {pairs} of {count * (count - 1) // 2} pairs on the wrong side of {limit:.3f}",
        (6, 40),
        color=_OTHER,
    )
    return canvas
