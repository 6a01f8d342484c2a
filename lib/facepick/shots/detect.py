"""Shot cuts, found while the frames stream by.

PySceneDetect's `ContentDetector` (a fixed threshold) and `AdaptiveDetector` (a threshold relative
to the neighbouring frames) propose cuts.  A proposal must then pass two tests of our own, because
what follows - tracks never cross a cut - is harmed by false cuts in the middle of a talk:

* the structure of the picture changed: a change of exposure or gamma leaves every edge where it
  was, so that the locally normalised correlation with the frame before stays high; and when the
  camera swings round it is high again once the one picture is laid over the other (phase
  correlation: Kuglin and Hines, *The Phase Correlation Image Alignment Method*, 1975);
* it lasts: after a flash the picture from before comes back within a few frames.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.shots.shot import Shot

__all__ = ["ShotDetector"]

GrayFloat = npt.NDArray[np.float32]


@dataclass
class _Recent:
    index: int
    thumb: npt.NDArray[np.uint8]  # (h, w, 3) BGR, long side LONG_SIDE
    structure: GrayFloat | None = None


class ShotDetector:
    """Finds cuts from small pictures that are pushed one by one.

    Frame i becomes settled `LAG` frames later: from then on it is certain whether a shot starts
    there.
    """

    # Cuts show in a tiny picture as well as in the full one, and the detectors take 0.4 ms at
    # this size against 30 ms at 720p.
    LONG_SIDE = 128
    # Mean change of hue, saturation and value between two frames.  27 and 15 are PySceneDetect's
    # own defaults for its fixed and its adaptive detector.
    CONTENT_THRESHOLD = 27.0
    ADAPTIVE_MIN_CONTENT = 15.0
    ADAPTIVE_RATIO = 3.0
    ADAPTIVE_WINDOW = 2
    # Across a real cut the correlation is that of two unrelated pictures (|r| < 0.1 on measured
    # footage); when half of a split screen stays it is about 0.5; exposure changes leave > 0.8.
    MAX_STRUCTURE = 0.7
    # A flash is a photographer's light or a glitch: 1 to 4 frames.
    FLASH_FRAMES = 4

    LAG = FLASH_FRAMES + ADAPTIVE_WINDOW

    def __init__(self) -> None:
        self._detector = _Proposals()
        # One frame more than the lag: a proposal is compared with the frame before it.
        self._recent: deque[_Recent] = deque(maxlen=self.LAG + 2)
        self._proposed: list[int] = []
        self._cuts: list[int] = []
        self._swings: list[int] = []
        self._pushed = 0
        self._flash_until = -1

    @property
    def settled(self) -> int:
        """Frames ``i < settled`` have got their shot."""
        return max(0, self._pushed - self.LAG)

    @property
    def cuts(self) -> tuple[int, ...]:
        """First frames of the shots found so far, without frame 0."""
        return tuple(self._cuts)

    @property
    def swings(self) -> tuple[int, ...]:
        """Settled frames before which the camera swung so fast that it looked like a cut."""
        return tuple(self._swings)

    def push(self, index: int, small: npt.NDArray[np.uint8]) -> None:
        """Look at the next frame.

        Args:
            index: of the frame; must be one more than the last.
            small: (h, w, 3) uint8 BGR of any size; it is reduced to `LONG_SIDE`.

        Raises:
            ValueError: a frame was left out or the picture changed its size.
        """
        import cv2

        if index != self._pushed:
            raise ValueError(f"frame {self._pushed} was expected, got {index}")
        height, width = small.shape[:2]
        scale = self.LONG_SIDE / max(height, width)
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            thumb = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)
        else:
            thumb = small.copy()
        if self._recent and self._recent[-1].thumb.shape != thumb.shape:
            raise ValueError(f"{thumb.shape = } but it was {self._recent[-1].thumb.shape}")
        self._recent.append(_Recent(index, thumb))
        self._pushed += 1
        for frame in self._detector.push(index, thumb):
            if frame > 0 and frame not in self._proposed:
                self._proposed.append(frame)
        self._judge(self.settled)

    def finish(self) -> tuple[Shot, ...]:
        """The shots, once every frame has been pushed; empty when there were none."""
        self._judge(self._pushed)
        if not self._pushed:
            return ()
        edges = [0, *self._cuts, self._pushed]
        return tuple(Shot(i, edges[i], edges[i + 1]) for i in range(len(edges) - 1))

    def _judge(self, before: int) -> None:
        ready = sorted(p for p in self._proposed if p < before)
        self._proposed = [p for p in self._proposed if p >= before]
        for frame in ready:
            if frame > self._flash_until and self._is_cut(frame):
                self._cuts.append(frame)

    def _is_cut(self, frame: int) -> bool:
        by_index = {r.index: r for r in self._recent}
        earlier, first = by_index.get(frame - 1), by_index.get(frame)
        if earlier is None or first is None:
            return True
        if self._correlation(earlier, first) > self.MAX_STRUCTURE:
            return False
        if _laid_over(earlier.structure, first.structure) > self.MAX_STRUCTURE:
            self._swings.append(frame)
            return False
        for ahead in range(1, self.FLASH_FRAMES + 1):
            later = by_index.get(frame + ahead)
            if later is not None and self._correlation(earlier, later) > self.MAX_STRUCTURE:
                self._flash_until = frame + ahead
                return False
        return True

    def _correlation(self, a: _Recent, b: _Recent) -> float:
        for item in (a, b):
            if item.structure is None:
                item.structure = _structure(item.thumb)
        return _cosine(a.structure, b.structure)


def _cosine(a: Any, b: Any) -> float:
    norm = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
    # Two pictures without any edge: black, or one colour each.
    return float(np.sum(a * b)) / norm if norm >= 1e-3 else 0.0


def _laid_over(a: Any, b: Any) -> float:
    """Correlation of two structures where they overlap after the shift that fits them best.

    0 when they overlap by less than half, where a chance fit would prove nothing.
    """
    import cv2

    height, width = a.shape
    (x, y), _ = cv2.phaseCorrelate(a, b, cv2.createHanningWindow((width, height), cv2.CV_32F))
    dx, dy = round(x), round(y)
    if (width - abs(dx)) * (height - abs(dy)) < width * height / 2:
        return 0.0
    left = a[max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]
    right = b[max(0, dy) : height - max(0, -dy), max(0, dx) : width - max(0, -dx)]
    return _cosine(left, right)


def _structure(thumb: npt.NDArray[np.uint8]) -> GrayFloat:
    """Luma with the local mean taken off and divided by the local deviation, float32 (h, w)."""
    import cv2

    gray = cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY).astype(np.float32)
    gray = cv2.GaussianBlur(gray, (0, 0), 1.0)
    mean = cv2.blur(gray, (7, 7))
    variance = cv2.blur(gray * gray, (7, 7)) - mean * mean
    # 20 = the variance of coding noise (a deviation of 4.5 steps); it keeps flat areas flat.
    return np.asarray((gray - mean) / np.sqrt(np.maximum(variance, 0) + 20.0), np.float32)


class _Proposals:
    """Where PySceneDetect's two detectors see a cut.

    `AdaptiveDetector` is a `ContentDetector` whose own threshold it turns off: both compare the
    same score, so that one of them is asked to compute it and it is held against the fixed
    threshold here.  The score is no public attribute; where it cannot be read (`shared` is off)
    both detectors work side by side, which finds the same at twice the price.
    """

    def __init__(self, *, shared: bool = True) -> None:
        from scenedetect.detectors import AdaptiveDetector, ContentDetector

        self._adaptive = AdaptiveDetector(
            adaptive_threshold=ShotDetector.ADAPTIVE_RATIO,
            min_content_val=ShotDetector.ADAPTIVE_MIN_CONTENT,
            window_width=ShotDetector.ADAPTIVE_WINDOW,
            min_scene_len=1,
        )
        self._fixed: Any = None
        if not shared or not hasattr(self._adaptive, "_frame_score"):
            self._fixed = ContentDetector(threshold=ShotDetector.CONTENT_THRESHOLD, min_scene_len=1)
        self._timecode = _timecode_factory()

    def push(self, index: int, image: npt.NDArray[np.uint8]) -> list[int]:
        """First frames of shots that may begin by now, given the next frame."""
        when = self._timecode(index)
        found = list(self._adaptive.process_frame(when, image))
        if self._fixed is not None:
            found.extend(self._fixed.process_frame(when, image))
        # None where there was no frame before.
        elif (self._adaptive._frame_score or 0.0) >= ShotDetector.CONTENT_THRESHOLD:
            found.append(when)
        return [int(getattr(item, "frame_num", item)) for item in found]


def _timecode_factory() -> Any:
    """Frame numbers as the installed PySceneDetect takes them: int up to 0.6, objects from 0.7."""
    import scenedetect

    version = tuple(int(part) for part in scenedetect.__version__.split(".")[:2])
    if version < (0, 7):
        return int
    from scenedetect import FrameTimecode

    # The rate is never used: lengths are counted in frames here.
    return lambda index: FrameTimecode(index, fps=25.0)
