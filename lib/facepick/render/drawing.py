"""Drawing of segments: decode, let the engines change the picked faces, blend, encode."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from facepick.compositing.patch import BgrImage, FacePatch, FaceRequest, PatchKind, Reason
from facepick.engines.engine import CountingSession, EngineResult
from facepick.errors import EngineError, RenderError
from facepick.faces.detection import Box, FloatArray
from facepick.media.encode import EncodeSettings
from facepick.media.reader import VideoReader
from facepick.media.timeline import constant_rate
from facepick.media.writer import SegmentWriter
from facepick.people.track import BRIDGED
from facepick.progress import ProgressMeter
from facepick.render.label import LABEL_SECONDS, Label
from facepick.render.pipeline import BackgroundConsumer, prefetched
from facepick.render.report import FrameNote
from facepick.render.segments import Segment
from facepick.render.sessions import EngineWork
from facepick.render.task import RenderTask

if TYPE_CHECKING:
    from pathlib import Path

    from facepick.media.picture import Picture

__all__ = ["SegmentDrawer", "guarded"]

BATCH_BYTES = 64 * 2**20
"""Decoded pictures that wait for one call of an engine: 16 at 1080p (3.1 MB each at 4:2:0, with
room for crops), 5 at 2160p."""

MAX_BATCH = 16
"""Beyond 8 faces a call no engine gains on a CPU; 16 leaves room on a GPU."""

BACKWARD_BLOCK = 24
"""Frames held at once while a clip plays backwards (`bounce`)."""

THUMBNAIL_EVERY = 50
"""Frames between two live thumbnails."""


NEIGHBOUR_REACH = 0.58
"""Half the side of the square around a neighbour that is kept, as a share of the face box's height.
The box spans brow to chin and eye corner to eye corner; against boxes drawn round whole heads, 99 %
of 5000 faces reach 0.59 to a side and 0.58 down at most."""


class SegmentDrawer:
    """Drawer of the segments of one render.

    Args:
        task: what is rendered.
        work: the open sessions of the engines.
        encode: settings of the encoder, adapted to the result.
        still_same: raises when something that the result is made of was changed meanwhile.
    """

    def __init__(
        self,
        task: RenderTask,
        work: Sequence[EngineWork],
        *,
        encode: EncodeSettings,
        still_same: Callable[[], None],
    ) -> None:
        self._task, self._work, self._encode = task, work, encode
        self._still_same = still_same
        self._drawn_label: Label | None = None
        self._live: Path | None = None
        self._next_thumbnail = 0
        base, likely = task.sound.info.time_base, task.scan.video.average_rate
        self._rate = constant_rate(task.sound.pts, base, likely)

    def draw_frame(self, output_frame: int) -> tuple[BgrImage, BgrImage]:
        """Draw one frame and give it before and after, (h, w, 3) uint8 BGR each."""
        batch = list(self._pictures(range(output_frame, output_frame + 1)))
        picture = batch[0][2]
        before = picture.bgr().copy()
        for item in self._work:
            for _ in self._apply(item, batch):
                pass
        self._label(batch)
        return before, picture.bgr().copy()

    def draw(self, segment: Segment, meter: ProgressMeter) -> None:
        """Draw a segment and put it in its place.

        Args:
            meter: counts output frames.

        Raises:
            Cancelled, FacepickError: the segment is not there.
        """
        notes: list[dict[str, Any]] = []
        # What a segment that was broken off has counted is no part of this one.
        self._take_counts()
        writer = SegmentWriter(
            self._task.store.part(segment),
            info=self._task.sound.info,
            encode=self._encode,
            rate=self._rate,
        )
        try:
            encoding: BackgroundConsumer[tuple[Picture, int]] = BackgroundConsumer(
                lambda item: writer.write(*item), depth=self._batch_size
            )
            with encoding as encoder:
                for batch in self._batches(segment):
                    self._task.cancel.raise_if_cancelled()
                    for item in self._work:
                        notes.extend(self._apply(item, batch))
                    self._label(batch)
                    for output_frame, _, picture in batch:
                        encoder.put((picture, self._task.sound.pts[output_frame]))
                    last = batch[-1]
                    self._keep_thumbnail(last[0], last[2])
                    live = None if self._live is None else str(self._live)
                    meter.update(last[0] + 1, thumbnail=live)
            self._still_same()

            def written() -> Path:
                writer.close()
                return writer.path

            self._task.store.finish(segment, notes, self._take_counts(), written)
        except BaseException:
            writer.abort()
            raise

    def _take_counts(self) -> list[Any]:
        sessions = (item.session for item in self._work)
        return [s.take_counts() if isinstance(s, CountingSession) else None for s in sessions]

    @property
    def _batch_size(self) -> int:
        video = self._task.scan.video
        return max(1, min(MAX_BATCH, BATCH_BYTES // (video.width * video.height * 2)))

    def _batches(self, segment: Segment) -> Iterator[list[tuple[int, int, Picture]]]:
        size = self._batch_size
        wanted = range(segment.start, segment.stop)
        pictures = prefetched(self._pictures(wanted), depth=size)
        batch: list[tuple[int, int, Picture]] = []
        with closing(pictures):  # type: ignore[type-var]
            for item in pictures:
                batch.append(item)
                if len(batch) == size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _pictures(self, output_frames: range) -> Iterator[tuple[int, int, Picture]]:
        """Yield (output frame, source frame, picture of its own) in output order."""
        sources = self._task.sources[output_frames.start : output_frames.stop]
        at = 0
        while at < len(sources):
            run = _run_length(sources, at)
            first, last = int(sources[at]), int(sources[at + run - 1])
            if last < first:
                run = min(run, BACKWARD_BLOCK)
                last = int(sources[at + run - 1])
            held = self._decode(min(first, last), max(first, last) + 1)
            if last < first:
                held = iter(list(held)[::-1])
            still: Picture | None = None
            if last == first:
                still = next(held)
            for k in range(run):
                self._task.cancel.raise_if_cancelled()
                picture = next(held) if still is None else still.copy()
                yield output_frames.start + at + k, int(sources[at + k]), picture
            at += run

    def _decode(self, start: int, stop: int) -> Iterator[Picture]:
        with VideoReader(
            self._task.scan.video.path, info=self._task.scan.video, cancel=self._task.cancel
        ) as reader:
            expected = start
            for frame in reader.frames(start=start, pts=self._task.scan.pts.tolist()):
                if frame.index != expected:
                    break
                yield frame.picture
                expected += 1
                if expected >= stop:
                    return
        raise RenderError(
            f"{self._task.scan.video.path.name} gave other frames than when it was scanned "
            f"(frame {expected} is missing).",
            hint="The file has changed or is damaged; scan it again.",
        )

    def _apply(
        self, item: EngineWork, batch: Sequence[tuple[int, int, Picture]]
    ) -> Iterator[dict[str, Any]]:
        from facepick.compositing.compositor import composite

        requests: list[FaceRequest] = []
        owners: list[int] = []
        for row, (output_frame, source_frame, picture) in enumerate(batch):
            found = item.footage.requests(
                source_frame,
                picture,
                output_frame=output_frame,
                time=self._task.sound.time_of(output_frame),
            )
            requests.extend(found)
            owners.extend([row] * len(found))
        results: list[EngineResult] = item.session.process(requests) if requests else []
        if len(results) != len(requests):
            raise EngineError(
                f"The engine {item.engine.spec.id} gave {len(results)} answers "
                f"to {len(requests)} requests."
            )
        for row, (output_frame, _, picture) in enumerate(batch):
            mine = [i for i, owner in enumerate(owners) if owner == row]
            patches = [
                guarded(answer, requests[i])
                for i in mine
                if isinstance(answer := results[i], FacePatch)
            ]
            box = composite(picture, patches) if patches else None
            note = FrameNote(
                frame=output_frame,
                person=item.person.id,
                flow=item.engine.spec.flow,
                engine=item.engine.spec.id,
                done=box is not None,
                reason=None if box is not None else _reason([results[i] for i in mine]),
                box=None if box is None else whole_box(box),
                guessed=bool(mine) and all(requests[i].seen == BRIDGED for i in mine),
                kind=next(
                    (p.kind for p in patches if p.kind is not PatchKind.DRAWN), PatchKind.DRAWN
                ),
                note=" ".join(p.note for p in patches if p.note),
            )
            yield {"frame": output_frame, "engine": note.engine, **note.to_json()}

    def _label(self, batch: Sequence[tuple[int, int, Picture]]) -> None:
        language = self._task.plan.output.label_card
        if language == "off":
            return
        if self._drawn_label is None:
            self._drawn_label = Label(language)
        for output_frame, _, picture in batch:
            if self._task.sound.time_of(output_frame) < LABEL_SECONDS:
                self._drawn_label.draw(picture)

    def _keep_thumbnail(self, output_frame: int, picture: Picture) -> None:
        """Write the newest picture now and then, for whoever watches."""
        if self._live is not None and output_frame < self._next_thumbnail:
            return
        import cv2

        small, _ = picture.small(360)
        done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
        if not done:
            return
        part = self._task.store.folder / f"live.{os.getpid()}.jpg"
        part.write_bytes(data.tobytes())
        self._live = self._task.workspace / "live.jpg"
        part.replace(self._live)
        self._next_thumbnail = output_frame + THUMBNAIL_EVERY


def guarded(patch: FacePatch, request: FaceRequest) -> FacePatch:
    """Cut the pixels that belong to somebody else out of the patch.

    Around another person's face, and outside the picked person's own box, nothing is written:
    a wide mask must never reach over to a neighbour.
    """
    x, y = patch.origin
    height, width = patch.alpha.shape
    alpha: FloatArray | None = None
    for face in request.others:
        (cx, cy), reach = face.center, face.height * NEIGHBOUR_REACH
        other = Box(cx - reach, cy - reach, cx + reach, cy + reach)
        x0, y0 = max(0, int(np.floor(other.x0)) - x), max(0, int(np.floor(other.y0)) - y)
        x1, y1 = min(width, int(np.ceil(other.x1)) - x), min(height, int(np.ceil(other.y1)) - y)
        if x1 <= x0 or y1 <= y0:
            continue
        if alpha is None:
            alpha = patch.alpha.copy()
        own = request.box
        ox0, oy0 = max(0, int(np.floor(own.x0)) - x), max(0, int(np.floor(own.y0)) - y)
        ox1, oy1 = max(0, int(np.ceil(own.x1)) - x), max(0, int(np.ceil(own.y1)) - y)
        kept = alpha[oy0:oy1, ox0:ox1].copy()
        alpha[y0:y1, x0:x1] = 0.0
        alpha[oy0:oy1, ox0:ox1] = kept
    if alpha is None:
        return patch
    return replace(patch, alpha=alpha)


def whole_box(box: Box) -> tuple[int, int, int, int]:
    """Round a box to whole pixels."""
    return round(box.x0), round(box.y0), round(box.x1), round(box.y1)


def _reason(results: Sequence[EngineResult]) -> str:
    if not results:
        return Reason.ABSENT.value
    for result in results:
        if isinstance(result, Reason):
            return result.value
    return Reason.LOW_CONFIDENCE.value


def _run_length(sources: np.ndarray[Any, Any], at: int) -> int:
    """Measure the stretch from `at` that goes forward, stands still, or goes backward."""
    if at + 1 >= len(sources):
        return 1
    step = int(sources[at + 1] - sources[at])
    if step not in (-1, 0, 1):
        return 1
    run = 2
    while at + run < len(sources) and int(sources[at + run] - sources[at + run - 1]) == step:
        run += 1
    return run
