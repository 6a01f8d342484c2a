"""Demo on the bundled clip: find two people, let one speak new words, hide the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.errors import NoFacesFound, RenderError
from facepick.paths import demo_clip, demo_speech
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.publishing import write_output

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.media.picture import ByteImage
    from facepick.people.person import Scan

__all__ = ["contact_sheet", "demo_clip", "demo_speech", "run_demo"]

# Five shots side by side fit a screen of 1920 pixels.
_CELL_WIDTH = 376
_GAP = 8


def run_demo(
    app: App,
    out_dir: Path,
    *,
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> dict[str, Path]:
    """Scan the clip, re-sync one person to new speech, pixelate the other, draw the sheets.

    Both are done in one encode: the face of the man, who is seen longest, is pixelated, and the
    woman speaks the bundled speech with the built-in engine, which needs no model file.

    Args:
        out_dir: made when it is missing; files of an earlier demo in it are replaced.

    Returns:
        What was made, by name: ``people``, ``result``, ``report``, ``before and after``.

    Raises:
        MissingModelError: the default models are not here.
        Cancelled: `cancel` was set.
        RenderError: something could not be written.
    """
    from facepick.people.gallery import draw_gallery
    from facepick.people.selection import Selection
    from facepick.render.plan import Assignment
    from facepick.render.report import is_report, sidecar_of
    from facepick.speech.line import SpeechLine

    out_dir.mkdir(parents=True, exist_ok=True)
    clip = demo_clip()
    scan = app.find_people(clip, progress=progress, cancel=cancel)
    sure = [person for person in scan.people if not person.unsure]
    if not sure:
        raise NoFacesFound(
            "Nobody was found in the bundled clip.", hint="Check the models: facepick doctor"
        )
    people = out_dir / "people.png"
    _save(draw_gallery(scan), people)

    hidden, *others = sure
    assignments = [
        Assignment(selection=Selection((hidden.id,)), flow="hide", engine="pixelate"),
        *(
            Assignment(
                selection=Selection((speaker.id,)),
                flow="lipsync",
                engine="rewrite",
                speech=(SpeechLine(path=str(demo_speech())),),
            )
            for speaker in others[:1]
        ),
    ]
    plan = app.make_plan(clip, assignments)
    result = out_dir / "two_people_changed.mp4"
    app.render(
        plan,
        result,
        # An earlier demo's result may go; what else lies there may not.
        force=is_report(sidecar_of(result)),
        progress=progress,
        # `never` belongs to everybody and cannot be handed to a job, which cancels its own token.
        cancel=None if cancel is never else cancel,
    )

    sheet = out_dir / "before_after.png"
    _save(contact_sheet(clip, result, _middles(scan), cancel=cancel), sheet)
    return {
        "people": people,
        "result": result,
        "report": result.with_name(result.name + ".facepick.json"),
        "before and after": sheet,
    }


def _middles(scan: Scan) -> list[int]:
    return [(shot.start + shot.stop) // 2 for shot in scan.shots]


def contact_sheet(
    before: Path, after: Path, frames: Sequence[int], *, cancel: CancelToken = never
) -> ByteImage:
    """Draw frames of two videos, one above the other: (h, w, 3) uint8 BGR.

    Args:
        frames: frame indices that both videos have, rising.

    Raises:
        RenderError: a video ends before the last of them.
        VideoOpenError: a file is no video.
    """
    import cv2
    import numpy as np

    rows = [_thumbnails(path, frames, cancel) for path in (before, after)]
    height = max(cell.shape[0] for row in rows for cell in row)
    width = max(cell.shape[1] for row in rows for cell in row)
    caption = 28
    sheet = np.full(
        (2 * (caption + height + _GAP) + _GAP, len(frames) * (width + _GAP) + _GAP, 3),
        24,
        np.uint8,
    )
    for number, (title, row) in enumerate(zip(("before", "after"), rows, strict=True)):
        top = _GAP + number * (caption + height + _GAP)
        for column, (index, cell) in enumerate(zip(frames, row, strict=True)):
            left = _GAP + column * (width + _GAP)
            cv2.putText(
                sheet,
                f"{title}, frame {index}",
                (left, top + caption - 10),
                cv2.FONT_HERSHEY_SIMPLEX,
                0.5,
                (230, 230, 230),
                1,
                cv2.LINE_AA,
            )
            place = sheet[top + caption :, left:]
            place[: cell.shape[0], : cell.shape[1]] = cell
    return sheet


def _thumbnails(path: Path, frames: Sequence[int], cancel: CancelToken) -> list[ByteImage]:
    from facepick.media.reader import VideoReader

    wanted = set(frames)
    found: dict[int, ByteImage] = {}
    with VideoReader(path, cancel=cancel) as reader:
        for frame in reader.frames():
            if frame.index in wanted:
                found[frame.index] = frame.picture.small(_CELL_WIDTH)[0]
            if len(found) == len(wanted):
                break
    missing = wanted - found.keys()
    if missing:
        raise RenderError(f"{path.name} has no frame {min(missing)}.")
    return [found[index] for index in frames]


def _save(picture: ByteImage, path: Path) -> None:
    import cv2

    done, data = cv2.imencode(path.suffix, picture)
    if not done:
        raise RenderError(f"{path.name} cannot be encoded.")
    # Not cv2.imwrite: on Windows it fails silently on names outside the code page.
    try:
        write_output(path, data.tobytes())
    except OSError as error:
        raise RenderError(
            f"{path} cannot be written: {error.strerror or error}.",
            hint="Choose another folder with --out.",
        ) from error
