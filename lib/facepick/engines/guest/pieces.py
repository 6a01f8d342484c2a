"""Pieces: the continuous stretches of one person that go out to a guest engine, one clip each.

A piece never reaches over a cut, over a frame without the person, or beyond what the engine takes.
Every frame goes out exactly once.  Where the engine's rate is not the video's, the clip is played
at the engine's rate and the speech is said as much faster or slower, at its own pitch; where the
video has twice the frames or more, every second (third, ...) frame makes a clip of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage, FaceRequest
from facepick.engines.engine import EngineContext
from facepick.engines.guest.call import call_guest
from facepick.engines.guest.clips import Answer, check_answer, write_clip, write_speech
from facepick.engines.guest.cuts import cut_of
from facepick.engines.guest.description import GuestDescription
from facepick.engines.lipsync.neural.crop import warp_out
from facepick.engines.lipsync.original_motion import output_sources, output_times
from facepick.files import read_json, write_json
from facepick.progress import ProgressMeter
from facepick.speech.line import Speech

__all__ = ["MadePieces", "Piece", "make_pieces", "plan_pieces"]

_SIZE_STEP = 16
"""A clip in the picture's own pixels has a side that every encoder takes."""


@dataclass(frozen=True)
class Piece:
    """Frames of the output that are one clip.

    Attributes:
        outputs: (n,) int64, numbers of the output's frames, rising.
        sources: (n,) int64, the source frames that they show.
        side: of the clip in pixels.
    """

    outputs: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int64]
    side: int

    @property
    def first(self) -> int:
        """First source frame that is shown."""
        return int(self.sources.min())

    @property
    def last(self) -> int:
        """Last source frame that is shown."""
        return int(self.sources.max())


def plan_pieces(
    context: EngineContext, guest: GuestDescription, wanted: npt.NDArray[np.bool_]
) -> list[Piece]:
    """Cut the wanted frames of the output into pieces.

    Args:
        wanted: (frames,) which of them the engine shall make.
    """
    sources, scan = output_sources(context), context.scan
    height = np.zeros(scan.frames, np.float32)
    for track in scan.tracks_of(context.person.id):
        boxes = track.boxes
        size = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
        height[track.frames] = np.maximum(height[track.frames], size)
    shot = np.zeros(scan.frames, np.int64)
    for item in scan.shots:
        shot[item.start : item.stop] = item.index
    outputs = np.flatnonzero(wanted & (height[sources] > 0))
    if not len(outputs):
        return []
    fps = rate_of(context)
    most = max(1, int(guest.longest * (guest.fps or float(fps))))
    pieces = []
    follows = (
        (np.diff(outputs) == 1)
        & (np.abs(np.diff(sources[outputs])) <= 1)
        & (np.diff(shot[sources[outputs]]) == 0)
    )
    steps = 1 if not guest.fps else max(1, round(float(fps) / guest.fps))
    for run in np.split(outputs, np.flatnonzero(~follows) + 1):
        for phase in range(min(steps, len(run))):
            own = run[phase::steps]
            # Pieces of about the same length, so that none is left with a frame or two.
            for part in np.array_split(own, -(-len(own) // most)):
                side = guest.size or _side(guest, float(height[sources[part]].max()))
                pieces.append(Piece(part, sources[part], side))
    return sorted(pieces, key=lambda piece: int(piece.outputs[0]))


def _side(guest: GuestDescription, face: float) -> int:
    return int(-(-face * (1 + 2 * guest.margin) // _SIZE_STEP) * _SIZE_STEP)


def rate_of(context: EngineContext) -> Fraction:
    """Compute the mean rate of the output in frames a second."""
    times = output_times(context, output_sources(context))
    if len(times) < 2 or times[-1] <= times[0]:
        return Fraction(25)
    return Fraction((len(times) - 1) / float(times[-1] - times[0])).limit_denominator(1001)


class MadePieces:
    """Answers of a guest engine, found by the frame of the output.

    Args:
        pieces: all that were made.
        folders: where each lies.
    """

    def __init__(self, pieces: Sequence[Piece], folders: Sequence[Path]) -> None:
        self.count = len(pieces)
        self._place = {
            int(frame): (number, at)
            for number, piece in enumerate(pieces)
            for at, frame in enumerate(piece.outputs)
        }
        self._pieces, self._folders = pieces, folders
        self._open: dict[int, Answer] = {}

    def __len__(self) -> int:
        return len(self._place)

    def side(self, frame: int) -> int | None:
        """Side of the clip that a frame of the output is in; None where it is in none."""
        found = self._place.get(frame)
        return None if found is None else self._pieces[found[0]].side

    def picture(self, frame: int) -> BgrImage:
        """Give the engine's picture for a frame, (side, side, 3) uint8 BGR."""
        number, at = self._place[frame]
        if number not in self._open:
            # Neighbours alternate where every second frame is a clip; no more are in use at once.
            while len(self._open) >= 8:
                del self._open[next(iter(self._open))]
            self._open[number] = Answer(_answer_file(self._folders[number]))
        return self._open[number].frame(at)

    def close(self) -> None:
        """Close the answers that are open."""
        self._open.clear()


def _answer_file(folder: Path) -> Path:
    return next(iter(sorted(folder.glob("out.*"))), folder / "out.mp4")


def make_pieces(
    context: EngineContext,
    guest: GuestDescription,
    planned: Sequence[Piece],
    *,
    speech: Speech | None = None,
    source: str = "",
) -> MadePieces:
    """Have every piece made that is not there from an earlier try.

    Args:
        planned: of `plan_pieces`.
        speech: what is said, for engines that listen.
        source: photo of the new face, for engines that swap.

    Raises:
        ToolError: the engine failed or gave something else than asked; what was made is kept.
        Cancelled.
    """
    made: list[Piece] = []
    folders: list[Path] = []
    meter = ProgressMeter(context.progress, "prepare", sum(len(p.outputs) for p in planned))
    done = 0
    for sweep in _sweeps(planned):
        todo = []
        for number, piece in sweep:
            folder = context.workspace / f"piece-{number:05d}"
            kept = _kept(folder, piece)
            if kept is None:
                todo.append((folder, piece))
            for at, part in enumerate(kept or ()):
                made.append(part)
                folders.append(folder / f"{at}")
        for folder, parts in _collected(context, guest, todo):
            for at, part in enumerate(parts):
                _made(context, guest, part, folder / f"{at}", speech=speech, source=source)
                made.append(part)
                folders.append(folder / f"{at}")
                done += len(part.outputs)
                meter.update(done)
            write_json(folder / "done.json", [_to_json(part) for part in parts])
    return MadePieces(made, folders)


def _to_json(piece: Piece) -> dict[str, object]:
    return {
        "outputs": piece.outputs.tolist(),
        "sources": piece.sources.tolist(),
        "side": piece.side,
    }


def _kept(folder: Path, piece: Piece) -> list[Piece] | None:
    """Read which parts of a piece were made by an earlier try; None where it was not finished."""
    try:
        rows = read_json(folder / "done.json")
    except (OSError, ValueError):
        return None
    parts = [
        Piece(np.array(r["outputs"], np.int64), np.array(r["sources"], np.int64), int(r["side"]))
        for r in rows
    ]
    own = set(piece.outputs.tolist())
    whole = all(set(part.outputs.tolist()) <= own and part.side == piece.side for part in parts)
    there = all(_answer_file(folder / f"{at}").is_file() for at in range(len(parts)))
    return parts if whole and there else None


def _sweeps(planned: Sequence[Piece]) -> Iterator[list[tuple[int, Piece]]]:
    """Part pieces into groups that one pass over the footage can collect: as soon as one begins
    earlier in the source than the one before, as where a video is shown again."""
    group: list[tuple[int, Piece]] = []
    for number, piece in enumerate(planned):
        if group and piece.first < group[-1][1].first:
            yield group
            group = []
        group.append((number, piece))
    if group:
        yield group


def _collected(
    context: EngineContext, guest: GuestDescription, todo: list[tuple[Path, Piece]]
) -> Iterator[tuple[Path, list[Piece]]]:
    """Cut the clips of pieces out of one pass over the footage, and give each when it is whole."""
    if not todo:
        return
    waiting = [_Gathered(guest, folder, piece) for folder, piece in todo]
    for request in context.footage():
        context.cancel.raise_if_cancelled()
        while waiting and waiting[0].piece.last < request.source_frame:
            whole = waiting.pop(0)
            yield whole.folder, whole.written(_fps(context, guest))
        for gathered in waiting:
            if gathered.piece.first > request.source_frame:
                break
            gathered.take(request)
    for gathered in waiting:
        yield gathered.folder, gathered.written(_fps(context, guest))


def _fps(context: EngineContext, guest: GuestDescription) -> Fraction:
    return Fraction(guest.fps).limit_denominator(1001) if guest.fps else rate_of(context)


class _Gathered:
    """Pictures of one piece, kept on disk until all are there.

    Args:
        folder: of the piece, made anew.
    """

    def __init__(self, guest: GuestDescription, folder: Path, piece: Piece) -> None:
        self.piece, self.folder = piece, folder
        self._guest = guest
        self._wanted = {int(frame) for frame in piece.sources}
        self._place: dict[int, int] = {}
        self._pictures: npt.NDArray[np.uint8] | None = None

    def take(self, request: FaceRequest) -> None:
        frame = request.source_frame
        if frame not in self._wanted or frame in self._place:
            return
        if self._pictures is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self._pictures = np.memmap(
                self.folder / "pictures.raw",
                np.uint8,
                "w+",
                shape=(len(self._wanted), self.piece.side, self.piece.side, 3),
            )
        cut = cut_of(self._guest, request, self.piece.side)
        at = len(self._place)
        self._pictures[at] = warp_out(request.crop, cut, side=self.piece.side)
        self._place[frame] = at

    def written(self, fps: Fraction) -> list[Piece]:
        """Write the clips; frames in which the face was not followed part the piece."""
        piece = self.piece
        there = np.array([int(frame) in self._place for frame in piece.sources])
        runs = np.split(np.arange(len(there)), np.flatnonzero(np.diff(there)) + 1)
        parts = [run for run in runs if len(run) and there[run[0]]]
        if not parts:
            self.folder.mkdir(parents=True, exist_ok=True)
            return []
        pictures = self._pictures
        assert pictures is not None
        made = []
        for at, run in enumerate(parts):
            folder = self.folder / f"{at}"
            folder.mkdir()
            frames = [self._place[int(frame)] for frame in piece.sources[run]]
            frames += frames[-1:] * self._guest.extra_frames
            clip = folder / f"video.{self._guest.container}"
            write_clip(clip, (pictures[row] for row in frames), fps=fps)
            made.append(Piece(piece.outputs[run], piece.sources[run], piece.side))
        self._pictures = None
        (self.folder / "pictures.raw").unlink()
        return made


def _made(
    context: EngineContext,
    guest: GuestDescription,
    piece: Piece,
    folder: Path,
    *,
    speech: Speech | None,
    source: str,
) -> None:
    """Call the engine for a clip, check what it gives, and keep that alone."""
    fps = _fps(context, guest)
    video, audio = folder / f"video.{guest.container}", folder / "audio.wav"
    out = folder / f"answer.{guest.container}"
    seconds = float((len(piece.outputs) + guest.extra_frames) / fps)
    times = output_times(context, output_sources(context))
    begins = float(times[piece.outputs[0]])
    # How long the clip's frames are on screen in the output; clips of every second frame, too.
    step = int(piece.outputs[1] - piece.outputs[0]) if len(piece.outputs) > 1 else 1
    shown = len(piece.outputs) * step / float(rate_of(context))
    tempo = shown * float(fps) / len(piece.outputs)
    samples = np.zeros(0, np.float32)
    if speech is not None:
        first = round(begins * Speech.SAMPLE_RATE)
        sent = shown + guest.extra_frames * tempo / float(fps)
        samples = speech.samples[first : first + round(sent * Speech.SAMPLE_RATE)]
    write_speech(
        audio,
        samples,
        rate=guest.sound_rate,
        tempo=tempo,
        seconds=seconds,
        cancel=context.cancel,
    )
    values = {
        "video": str(video),
        "audio": str(audio),
        "source": source,
        "out": str(out),
        "fps": f"{float(fps):g}",
        "size": str(piece.side),
    }
    call_guest(guest, values, log=folder / "log.txt", cancel=context.cancel)
    check_answer(
        out,
        label=guest.label,
        frames=len(piece.outputs),
        more=guest.extra_frames,
        size=(piece.side, piece.side),
        fps=fps,
    )
    out.rename(folder / f"out{out.suffix}")
    video.unlink()
    audio.unlink()
