"""The gallery picture: one row per person with faces, name, time on screen and when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.people.person import Person, Scan
from facepick.publishing import write_outputs

__all__ = ["draw_gallery", "write_gallery"]

Bgr = npt.NDArray[np.uint8]

# Okabe and Ito's palette, which colour-blind people can tell apart, as BGR; on a dark ground.
_COLORS = (
    (233, 180, 86),
    (0, 159, 230),
    (115, 158, 0),
    (66, 228, 240),
    (167, 121, 204),
    (0, 94, 213),
    (178, 114, 0),
)
_GROUND, _PANEL, _TEXT, _FAINT, _STRIP = 24, 34, (236, 236, 236), (150, 150, 150), (58, 58, 58)
_UNSURE = (140, 140, 140)

_WIDTH, _MARGIN, _FACE, _GAP = 1280, 20, 104, 8
_FACES = 4
_ROW = _FACE + 20
_TITLE = 64
_MAX_ROWS = 60


def draw_gallery(scan: Scan) -> Bgr:
    """Draw one row per person, sure ones first; the crowd is a number in the heading.

    Returns:
        (h, 1280, 3) uint8 BGR.
    """
    import cv2

    listed = [p for p in scan.people if not p.ignored]
    people = [p for p in listed if not p.group][:_MAX_ROWS]
    crowd = sum(p.group is not None for p in listed)
    unsure_from = next((i for i, p in enumerate(people) if p.unsure), len(people))
    heading = 30 if unsure_from < len(people) else 0
    height = _TITLE + _ROW * max(1, len(people)) + heading + _MARGIN
    canvas = np.full((height, _WIDTH, 3), _GROUND, np.uint8)
    seconds = _duration(scan)
    _write(canvas, scan.video.path.name, (_MARGIN, 30), 0.7, _TEXT)
    sure = unsure_from
    summary = f"{sure} {'person' if sure == 1 else 'people'}"
    if unsure_from < len(people):
        summary += f" and {len(people) - unsure_from} unsure"
    if crowd:
        summary += f" and {crowd} {'bystander' if crowd == 1 else 'bystanders'}"
    summary += f"   {len(scan.shots)} {'shot' if len(scan.shots) == 1 else 'shots'}"
    _write(canvas, f"{summary}   {seconds:.1f} s", (_MARGIN, 54), 0.45, _FAINT)
    if not people:
        _write(canvas, "Nobody was found.", (_MARGIN, _TITLE + 40), 0.6, _FAINT)
    top = _TITLE
    for number, person in enumerate(people):
        if number == unsure_from:
            _write(
                canvas,
                "Unsure: faces kept apart, untouched unless you include them",
                (_MARGIN, top + 20),
                0.45,
                _FAINT,
            )
            top += heading
        color = _UNSURE if person.unsure else _COLORS[number % len(_COLORS)]
        cv2.rectangle(
            canvas,
            (_MARGIN - 8, top + 3),
            (_WIDTH - _MARGIN + 8, top + _ROW - 3),
            (_PANEL,) * 3,
            -1,
        )
        cv2.rectangle(canvas, (_MARGIN - 8, top + 3), (_MARGIN - 4, top + _ROW - 3), color, -1)
        _row(canvas, scan, person, top + 10, color)
        top += _ROW
    return canvas


def write_gallery(scan: Scan, folder: Path, *, force: bool = False) -> tuple[Path, ...]:
    """Write the picture as ``gallery.jpg`` and every thumbnail, into `folder`.

    Args:
        force: overwrite files of these names that facepick did not write.

    Returns:
        The files written, the gallery first.

    Raises:
        TargetTaken: there is such a file, and `force` is not given.
        OSError: the disk refuses.
    """
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".jpg", draw_gallery(scan), [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not done:
        raise OSError("the gallery picture could not be encoded")
    files = {folder / "gallery.jpg": bytes(data)}
    for person in scan.people:
        for name in person.thumbnails:
            source = Path(scan.folder) / Path(name).name
            if source.is_file():
                files[folder / source.name] = source.read_bytes()
    write_outputs(files, force=force)
    return tuple(files)


def _row(canvas: Bgr, scan: Scan, person: Person, top: int, color: tuple[int, int, int]) -> None:
    import cv2

    x = _MARGIN + 4
    for face in _faces(scan, person):
        canvas[top : top + _FACE, x : x + _FACE] = face
        x += _FACE + _GAP
    x = _MARGIN + 4 + _FACES * (_FACE + _GAP) + 12
    _write(canvas, _ascii(person), (x, top + 26), 0.75, _TEXT, weight=2)
    share = float(person.screen_time) / max(_duration(scan), 1e-9)
    tracks = len(person.track_ids)
    _write(
        canvas,
        f"{float(person.screen_time):.1f} s   {min(1.0, share):.0%} of the video   "
        f"{tracks} {'appearance' if tracks == 1 else 'appearances'}   "
        f"confidence {person.confidence:.0%}{_may_be(person)}",
        (x, top + 50),
        0.45,
        _FAINT,
    )
    left, right, y0, y1 = x, _WIDTH - _MARGIN - 8, top + 66, top + 92
    cv2.rectangle(canvas, (left, y0), (right, y1), _STRIP, -1)
    on = np.zeros(right - left, bool)
    for start, stop in _spans(scan, person):
        a = round(start * len(on) / max(1, scan.frames))
        b = round(stop * len(on) / max(1, scan.frames))
        on[a : max(b, a + 1)] = True
    strip = canvas[y0:y1, left:right]
    strip[:, on] = color
    for shot in scan.shots[1:]:
        column = min(len(on) - 1, round(shot.start * len(on) / max(1, scan.frames)))
        strip[-6:, column] = _TEXT


def _faces(scan: Scan, person: Person) -> Sequence[Bgr]:
    """Load the person's thumbnails as squares; files that are gone or broken are left out."""
    import cv2

    faces: list[Bgr] = []
    for name in person.thumbnails[:_FACES]:
        path = Path(scan.folder) / Path(name).name
        if not path.is_file():
            continue
        # By imdecode: imread cannot open every file name on Windows.
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if image is not None:
            face = cv2.resize(image, (_FACE, _FACE), interpolation=cv2.INTER_AREA)
            faces.append(np.asarray(face, np.uint8))
    return faces


def _spans(scan: Scan, person: Person) -> list[tuple[int, int]]:
    return [(t.start, t.stop) for t in scan.tracks if t.id in set(person.track_ids)]


def _duration(scan: Scan) -> float:
    if not scan.frames:
        return 0.0
    return float((int(scan.pts[-1] - scan.pts[0]) + scan.duration_pts) * scan.video.time_base)


def _may_be(person: Person) -> str:
    if not person.may_be:
        return ""
    return "   may be " + ", ".join(f"{key} ({score:.0%})" for key, score in person.may_be)


def _ascii(person: Person) -> str:
    """Return the name where OpenCV's strokes can write it, and the id."""
    if person.name and person.name.isascii():
        return f"{person.name}  {person.id}"
    return person.id


def _write(
    canvas: Bgr,
    text: str,
    at: tuple[int, int],
    size: float,
    color: tuple[int, int, int],
    *,
    weight: int = 1,
) -> None:
    import cv2

    plain = "".join(c if c.isascii() else "?" for c in text)
    cv2.putText(canvas, plain, at, cv2.FONT_HERSHEY_SIMPLEX, size, color, weight, cv2.LINE_AA)
