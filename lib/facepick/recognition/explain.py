"""Explanation: one sheet that shows every step from two photos to a verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.recognition.alignment import chip_template
from facepick.recognition.pipeline import Recognizer, SeenFace, load_picture
from facepick.recognition.plots import put_text
from facepick.recognition.verify import Verdict

__all__ = ["draw_explanation"]

Canvas = npt.NDArray[np.uint8]

_INK = (40, 40, 40)
_GREEN = (80, 160, 60)
_RED = (70, 80, 210)
_POINTS = ((60, 60, 230), (60, 200, 60), (230, 160, 40), (40, 200, 230), (220, 80, 220))

_ROW = 300
_PHOTO = 400
_CHIP = 224
_CODE = 300


def draw_explanation(
    a: Path | str, b: Path | str, verdict: Verdict, recognizer: Recognizer
) -> Canvas:
    """Draw the sheet (h, w, 3) uint8 BGR.

    Box and landmarks, the aligned chip, the embedding; then the distance on its scale, against the
    threshold.

    Args:
        a, b: the photos of `verdict`.

    Raises:
        UserInputError: a photo cannot be read any more.
    """
    width = _PHOTO + _CHIP + _CODE + 4 * 20
    sheet = np.full((2 * _ROW + 60 + 190, width, 3), 255, np.uint8)
    columns = (20, 40 + _PHOTO, 60 + _PHOTO + _CHIP)
    titles = (
        f"1 detect: {recognizer.detector.id}",
        f"2 align: {recognizer.alignment}",
        f"3 embed: {recognizer.embedder.id}",
    )
    for x, title in zip(columns, titles, strict=True):
        put_text(sheet, title, (x, 30), size=0.55, bold=True)
    target = chip_template(recognizer.embedder)
    for row, (path, seen, code) in enumerate(
        zip((a, b), verdict.faces, verdict.embeddings, strict=True)
    ):
        y = 50 + row * _ROW
        _paste(sheet, _photo(load_picture(path), seen), columns[0], y)
        _paste(sheet, _chip(seen, target), columns[1], y)
        put_text(
            sheet,
            f"score {seen.score:.2f}  quality {seen.quality.value:.2f}",
            (columns[1], y + _CHIP + 22),
        )
        pose = seen.quality.pose
        put_text(
            sheet,
            f"yaw {pose.yaw:+.0f} pitch {pose.pitch:+.0f} roll {pose.roll:+.0f}",
            (columns[1], y + _CHIP + 42),
        )
        _bars(sheet, code, columns[2], y)
    _scale(sheet, verdict, 20, 2 * _ROW + 60)
    return sheet


def _paste(sheet: Canvas, picture: Canvas, x: int, y: int) -> None:
    sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture


def _photo(image: Canvas, seen: SeenFace) -> Canvas:
    """Draw the photo around the face, fitted into its cell, with box and points."""
    import cv2

    height, width = image.shape[:2]
    box = seen.box.grown(0.9)
    x0, y0 = max(0, int(box.x0)), max(0, int(box.y0))
    x1, y1 = min(width, int(box.x1) + 1), min(height, int(box.y1) + 1)
    part = image[y0:y1, x0:x1]
    scale = min(_PHOTO / max(1, x1 - x0), (_ROW - 30) / max(1, y1 - y0))
    size = (max(1, int((x1 - x0) * scale)), max(1, int((y1 - y0) * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = np.ascontiguousarray(cv2.resize(part, size, interpolation=method), np.uint8)
    corners = [round((v - o) * scale) for v, o in zip(seen.box, (x0, y0, x0, y0), strict=True)]
    cv2.rectangle(shown, tuple(corners[:2]), tuple(corners[2:]), _GREEN, 2)
    for point, color in zip(seen.landmarks5, _POINTS, strict=True):
        at = (round((float(point[0]) - x0) * scale), round((float(point[1]) - y0) * scale))
        cv2.circle(shown, at, 4, color, -1, cv2.LINE_AA)
    return shown


def _chip(seen: SeenFace, target: npt.NDArray[np.float32]) -> Canvas:
    """Draw what the embedder saw, with rings where its five points should lie."""
    import cv2

    scale = _CHIP / seen.chip.shape[0]
    shown = np.ascontiguousarray(
        cv2.resize(seen.chip, (_CHIP, _CHIP), interpolation=cv2.INTER_CUBIC), np.uint8
    )
    for point, color in zip(target, _POINTS, strict=True):
        at = (round(float(point[0]) * scale), round(float(point[1]) * scale))
        cv2.circle(shown, at, 6, color, 1, cv2.LINE_AA)
    return shown


def _bars(sheet: Canvas, code: npt.NDArray[np.float32], x: int, y: int) -> None:
    """Draw the embedding as bars around zero; long ones are averaged in groups of neighbours."""
    import cv2

    groups = np.array_split(np.asarray(code, np.float64), min(len(code), 128))
    values = np.array([g.mean() for g in groups])
    values = values / max(float(np.abs(values).max()), 1e-9)
    middle, reach = y + _CHIP // 2, _CHIP // 2 - 4
    step = _CODE / len(values)
    cv2.line(sheet, (x, middle), (x + _CODE, middle), (200, 200, 200), 1)
    for i, value in enumerate(values):
        left, right = round(x + i * step), max(round(x + i * step), round(x + (i + 1) * step) - 1)
        tip = middle - round(float(value) * reach)
        color = _GREEN if value > 0 else _RED
        cv2.rectangle(sheet, (left, min(middle, tip)), (right, max(middle, tip)), color, -1)
    length = float(np.linalg.norm(code))
    put_text(sheet, f"{len(code)} numbers, length {length:.2f}", (x, y + _CHIP + 22))


def _scale(sheet: Canvas, verdict: Verdict, x: int, y: int) -> None:
    import cv2

    threshold = verdict.threshold
    end = max(threshold.threshold * 2, verdict.distance * 1.1, 1e-6)
    width = sheet.shape[1] - 2 * x
    cut = x + round(threshold.threshold / end * width)
    bar = y + 70
    cv2.rectangle(sheet, (x, bar), (cut, bar + 26), (205, 230, 200), -1)
    cv2.rectangle(sheet, (cut, bar), (x + width, bar + 26), (210, 210, 245), -1)
    cv2.line(sheet, (cut, bar - 8), (cut, bar + 34), _INK, 2)
    put_text(sheet, f"threshold {threshold.threshold:.3f}", (cut - 50, bar + 52))
    put_text(sheet, "0", (x, bar + 52))
    put_text(sheet, f"{end:.2f}", (x + width - 40, bar + 52))
    at = x + round(verdict.distance / end * width)
    color = _GREEN if verdict.same else _RED
    cv2.circle(sheet, (at, bar + 13), 9, color, -1, cv2.LINE_AA)
    label = min(max(x, at - 70), x + width - 170)
    put_text(sheet, f"{threshold.metric} distance {verdict.distance:.3f}", (label, bar - 14))
    said = "the same person" if verdict.same else "different people"
    put_text(
        sheet,
        f"4 compare: {said}, confidence {verdict.confidence:.2f}",
        (x, y + 22),
        size=0.6,
        color=color,
        bold=True,
    )
    if threshold.calibrated:
        source = (
            f"threshold measured on {threshold.dataset}: {threshold.pairs_same} pairs of one "
            f"person, {threshold.pairs_different} of two, accuracy {threshold.accuracy:.3f}"
        )
    else:
        source = "threshold published by the model's authors, not measured with this alignment"
    put_text(sheet, source, (x, bar + 84), size=0.42)
