"""Detection of shot cuts while the frames stream by.

PySceneDetect's `ContentDetector` (a fixed threshold) and `AdaptiveDetector` (a threshold relative
to the neighbouring frames) propose cuts.  A proposal must then pass two tests of our own, because
what follows - tracks never cross a cut - is harmed by false cuts in the middle of a talk:

* the structure of the picture changed: a change of exposure or gamma leaves every edge where it
  was, so that the locally normalised correlation with the frame before stays high; and when the
  camera swings round it is high again once the one picture is laid over the other (phase
  correlation: Kuglin and Hines, *The Phase Correlation Image Alignment Method*, 1975).  Where it
  zooms, too, or something large moves before it, the parts of the picture are found again one by
  one, and one shift and zoom explains where most of them are (consensus of pairs: Fischler and
  Bolles, *Random Sample Consensus*, 1981, by all pairs instead of random ones);
* it lasts: after a flash the picture from before comes back within a few frames, and what stood
  between was no picture of its own.

A dissolve has no frame that differs much from the one before.  It is found where a frame is the
mean of the ones some way before and after, which have nothing to do with each other; the shot
begins where the later picture outweighs the earlier one.
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
    gray: GrayFloat  # (h, w), blurred a little
    structure: GrayFloat | None = None


class ShotDetector:
    """Detector of cuts in small pictures that are pushed one by one.

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
    # What stands between two like pictures for two frames or more is a shot when it has half as
    # many edges as they have, and they are other ones.
    OWN_EDGES, OWN_STRUCTURE = 0.5, 0.2
    # Share of the parts of a picture that one shift and zoom explains: 0.17 on average and up to
    # 0.33 across real cuts, 0.71 and more in whip pans; 0.42 where the camera zooms by a tenth a
    # frame, which counts only while it has been swinging already (0.50 is a cut with a blended
    # frame in it).
    SWING, SWING_ON = 0.6, 0.35
    SWING_ON_FRAMES = 4
    # Dissolves measure 0.14 to 0.25 (error of the mean over the difference of what is mixed),
    # pans and everything else 0.39 and more.
    DISSOLVE_ERROR = 0.3
    # The two pictures differ by more than coding noise, and have no edge in common.
    DISSOLVE_CONTRAST, DISSOLVE_STRUCTURE = 8.0, 0.35
    # Frames back to the earlier picture; the later one is `LAG` frames ahead.
    DISSOLVE_BACK = (6, 12, 18)

    LAG = FLASH_FRAMES + ADAPTIVE_WINDOW

    def __init__(self) -> None:
        self._detector = _Proposals()
        # The oldest one that a dissolve may begin with; they are tiny.
        self._recent: deque[_Recent] = deque(maxlen=self.LAG + 2 + max(self.DISSOLVE_BACK))
        self._proposed: list[int] = []
        self._cuts: list[int] = []
        self._swings: list[int] = []
        self._pushed = 0
        self._flash_until = -1
        self._dissolves_until = 0

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
        gray = cv2.GaussianBlur(cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY), (3, 3), 0.7)
        self._recent.append(_Recent(index, thumb, gray.astype(np.float32)))
        self._pushed += 1
        for frame in self._detector.push(index, thumb):
            if frame > 0 and frame not in self._proposed:
                self._proposed.append(frame)
        self._judge(self.settled)

    def finish(self) -> tuple[Shot, ...]:
        """Return the shots, once every frame has been pushed; none when there were no frames."""
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
        if before > self._dissolves_until:
            self._dissolves_until = before
            if self._is_dissolve(before - 1):
                self._cuts.append(before - 1)

    def _is_cut(self, frame: int) -> bool:
        by_index = {r.index: r for r in self._recent}
        earlier, first = by_index.get(frame - 1), by_index.get(frame)
        if earlier is None or first is None:
            return True
        if self._correlation(earlier, first) > self.MAX_STRUCTURE:
            return False
        if self._swung(frame, earlier, first):
            self._swings.append(frame)
            return False
        for ahead in range(1, self.FLASH_FRAMES + 1):
            later = by_index.get(frame + ahead)
            if later is not None and self._correlation(earlier, later) > self.MAX_STRUCTURE:
                between = [by_index[k] for k in range(frame, frame + ahead)]
                if self._own_picture(earlier, between):
                    return True
                self._flash_until = frame + ahead
                return False
        return True

    def _swung(self, frame: int, earlier: _Recent, first: _Recent) -> bool:
        if _laid_over(earlier.structure, first.structure) > self.MAX_STRUCTURE:
            return True
        swinging = bool(self._swings) and self._swings[-1] >= frame - self.SWING_ON_FRAMES
        limit = self.SWING_ON if swinging else self.SWING
        # Of the parts of the one picture some may be gone from the other.
        return max(_moved(earlier.gray, first.gray), _moved(first.gray, earlier.gray)) >= limit

    def _own_picture(self, earlier: _Recent, between: list[_Recent]) -> bool:
        """Tell whether what stood there for a few frames was a shot, and no flash."""
        if len(between) < 2:
            return False
        for item in between:
            if abs(self._correlation(earlier, item)) > self.OWN_STRUCTURE:
                return False
            if _edges(item.structure) < self.OWN_EDGES * _edges(earlier.structure):
                return False
        return self._correlation(between[0], between[-1]) > self.MAX_STRUCTURE

    def _is_dissolve(self, frame: int) -> bool:
        """Tell whether `frame` is the first one in which the later of two pictures prevails."""
        near = range(frame - self.LAG, frame + self.LAG + 1)
        if any(cut in near for cut in (*self._cuts[-1:], *self._proposed)):
            return False
        by_index = {r.index: r for r in self._recent}
        middle, before = by_index.get(frame), by_index.get(frame - 1)
        later = by_index.get(frame + self.LAG)
        if middle is None or before is None or later is None:
            return False
        for back in self.DISSOLVE_BACK:
            earlier = by_index.get(frame - back)
            if earlier is None:
                break
            share, error, contrast = _mixed(earlier.gray, later.gray, middle.gray)
            if contrast < self.DISSOLVE_CONTRAST or error > self.DISSOLVE_ERROR:
                continue
            if not (0.2 < share <= 0.5 < _mixed(earlier.gray, later.gray, before.gray)[0]):
                continue
            if self._correlation(earlier, later) > self.DISSOLVE_STRUCTURE:
                continue
            if max(_moved(earlier.gray, later.gray), _moved(later.gray, earlier.gray)) < (
                self.SWING_ON
            ):
                return True
        return False

    def _correlation(self, a: _Recent, b: _Recent) -> float:
        for item in (a, b):
            if item.structure is None:
                item.structure = _structure(item.thumb)
        return _cosine(a.structure, b.structure)


def _edges(structure: Any) -> float:
    """Measure how much of a picture is edges."""
    return float(np.sqrt(np.mean(np.square(structure))))


def _cosine(a: Any, b: Any) -> float:
    norm = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
    # Two pictures without any edge: black, or one colour each.
    return float(np.sum(a * b)) / norm if norm >= 1e-3 else 0.0


def _laid_over(a: Any, b: Any) -> float:
    """Correlate two structures where they overlap after the shift that fits them best.

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


def _moved(a: GrayFloat, b: GrayFloat) -> float:
    """Measure the share of picture `a` that is in `b` where one shift and zoom puts it."""
    import cv2

    columns, rows = 6, 4
    # 32 of 128 columns a frame, as far as the faces of a swing can be followed.
    reach_x, reach_y = 32, 16
    height, width = a.shape
    w, h = width // columns, height // rows
    if min(w, h) < 6:
        return 0.0
    wide = cv2.copyMakeBorder(b, reach_y, reach_y, reach_x, reach_x, cv2.BORDER_REPLICATE)
    found = []
    for y in range(0, rows * h, h):
        for x in range(0, columns * w, w):
            part = a[y : y + h, x : x + w]
            # A part without any edge is found anywhere.
            if float(part.std()) < 6.0:
                continue
            area = wide[y : y + h + 2 * reach_y, x : x + w + 2 * reach_x]
            likeness = cv2.matchTemplate(area, part, cv2.TM_CCOEFF_NORMED)
            _, best, _, (dx, dy) = cv2.minMaxLoc(likeness)
            found.append((best, dx - reach_x, dy - reach_y, x, y))
    if len(found) < 6:
        return 0.0
    likeness, dx, dy, x, y = np.array(found, np.float64).T
    good = np.flatnonzero(likeness > 0.6)
    first, second = (good[k] for k in np.triu_indices(len(good), 1))
    if not len(first):
        return 0.0
    across, down = x[second] - x[first], y[second] - y[first]
    zoom = (dx[second] - dx[first]) * across + (dy[second] - dy[first]) * down
    zoom = np.clip(zoom / (across**2 + down**2), -0.2, 0.2)[:, None]
    # 2.5 of 128 columns: parts lie at different depths.
    error_x = dx[good] - dx[first][:, None] - zoom * (x[good] - x[first][:, None])
    error_y = dy[good] - dy[first][:, None] - zoom * (y[good] - y[first][:, None])
    agree = (np.abs(error_x) <= 2.5) & (np.abs(error_y) <= 2.5)
    return float(agree.sum(axis=1).max()) / len(found)


def _mixed(a: GrayFloat, b: GrayFloat, between: GrayFloat) -> tuple[float, float, float]:
    """Fit a picture as a mix of two: the share of `a`, the unexplained part, and the difference
    of the two (RMS)."""
    # Every other row and column: means over the picture hardly change.
    later = b[::2, ::2].ravel()
    apart = a[::2, ::2].ravel() - later
    energy = float(apart @ apart)
    if energy < 1e-6 * len(apart):
        return 0.0, 1.0, 0.0
    rest = between[::2, ::2].ravel() - later
    share = float(rest @ apart) / energy
    # What is left over is at right angles to the difference.
    error = max(0.0, float(rest @ rest) - share * share * energy)
    return share, float(np.sqrt(error / energy)), float(np.sqrt(energy / len(apart)))


def _structure(thumb: npt.NDArray[np.uint8]) -> GrayFloat:
    """Normalise luma by local mean and deviation, float32 (h, w)."""
    import cv2

    gray = cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY).astype(np.float32)
    gray = cv2.GaussianBlur(gray, (0, 0), 1.0)
    mean = cv2.blur(gray, (7, 7))
    variance = cv2.blur(gray * gray, (7, 7)) - mean * mean
    # 20 = the variance of coding noise (a deviation of 4.5 steps); it keeps flat areas flat.
    return np.asarray((gray - mean) / np.sqrt(np.maximum(variance, 0) + 20.0), np.float32)


class _Proposals:
    """Proposals of cuts by PySceneDetect's two detectors.

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
        """Return first frames of shots that may begin by now, given the next frame."""
        when = self._timecode(index)
        found = list(self._adaptive.process_frame(when, image))
        if self._fixed is not None:
            found.extend(self._fixed.process_frame(when, image))
        # None where there was no frame before.
        elif (self._adaptive._frame_score or 0.0) >= ShotDetector.CONTENT_THRESHOLD:
            found.append(when)
        return [int(getattr(item, "frame_num", item)) for item in found]


def _timecode_factory() -> Any:
    """Make frame numbers for the installed PySceneDetect: int up to 0.6, objects from 0.7."""
    import scenedetect

    version = tuple(int(part) for part in scenedetect.__version__.split(".")[:2])
    if version < (0, 7):
        return int
    from scenedetect import FrameTimecode

    # The rate is never used: lengths are counted in frames here.
    return lambda index: FrameTimecode(index, fps=25.0)
