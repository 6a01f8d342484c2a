"""A conversation with exact turns, made of people who were filmed speaking alone.

    python benchmarks/conversation.py OUT.mp4 VIDEO:P1@0-7 VIDEO:P2@12-16 [...]
        [--turns 2.5 1.5 3] [--pause 0.3] [--away 4] [--keep FOLDER]

Each person is cut out of a stretch of a video in which the person is seen and heard; panels stand
side by side.  Turns go round.  Who speaks is as filmed, sound and picture; everybody else's mouth
is shut by facepick's own lip sync (`--when-silent close`), and plays back and forth where the
person spoke last.  Every `--away`-th turn (0: none) the speaker is not shown.  Beside OUT lie the
truth (``OUT.json``), which `benchmarks/speakers.py OUT.mp4` reads, and ``OUT.rttm``.

Use footage whose people agreed to be changed, and in which each stretch holds one voice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facepick.app import App
from facepick.media.audio import read_mono
from facepick.media.reader import VideoReader
from facepick.people.person import Scan
from facepick.speech.rttm import rttm_text

RATE, SOUND = 25, 16_000
WIDE, HIGH = 400, 480
FACE = 0.42
"""Height of a face in its panel."""
Image = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """A person in a stretch of a video: ``VIDEO:P1@0-7``."""

    video: Path
    person: str
    start: float
    stop: float

    @classmethod
    def parse(cls, text: str) -> Part:
        name, _, rest = text.rpartition(":")
        person, _, span = rest.partition("@")
        start, _, stop = span.partition("-")
        return cls(Path(name), person, float(start), float(stop))


@dataclass
class Panel:
    """What there is of a person: pictures as filmed and with the mouth shut, boxes, sound."""

    name: str
    filmed: list[Image]
    shut: list[Image]
    boxes: list[list[float]]
    sound: Image
    at: int = 0

    def speaks(self, count: int) -> tuple[list[int], Image]:
        """Numbers of the next pictures, and their sound; fewer where the stretch ends."""
        count = min(count, len(self.filmed) - self.at)
        first, self.at = self.at, self.at + count
        step = SOUND // RATE
        return list(range(first, self.at)), self.sound[first * step : self.at * step]

    def listens(self, count: int) -> list[int]:
        """Numbers of pictures back and forth, ending where the person will speak on."""
        away = [min(i, count - i) for i in range(count)]
        last = len(self.shut) - 1
        return [min(last, abs(self.at - back)) for back in away]


def panel_of(app: App, part: Part, name: str, folder: Path) -> Panel:
    """Cut a person out, and shut the mouth in a second copy."""
    scan = app.find_people(part.video)
    filmed = cut_out(scan, part)
    folder.mkdir(parents=True, exist_ok=True)
    clip, shut = folder / f"{name}.mp4", folder / f"{name}-shut.mp4"
    sound = read_mono(
        part.video, rate=SOUND, align_to=Fraction(int(scan.pts[0])) * scan.video.time_base
    )[round(part.start * SOUND) :][: len(filmed) * SOUND // RATE]
    if not shut.exists():
        # With its sound, which tells where the mouth talked and is to be shut.
        write_film(clip, filmed, sound)
        silence = write_sound(folder / "silence.wav", np.zeros(SOUND, np.float32))
        command = [
            *(sys.executable, "-m", "facepick", "render", str(clip), "-o", str(shut), "--force"),
            *("--person", "P1", "--flow", "lipsync", "--audio", str(silence)),
            *("--when-silent", "close", "--original", "mute"),
            *("--quality", "12", "--review", "off"),
        ]
        subprocess.run(command, check=True)
    shut_scan = app.find_people(clip)
    person = shut_scan.person("P1")
    boxes = [[0.0, 0.0, 0.0, 0.0]] * len(filmed)
    for track in (t for t in shut_scan.tracks if t.id in person.track_ids):
        for frame, box in zip(track.frames, track.boxes, strict=True):
            if int(frame) < len(boxes):
                boxes[int(frame)] = [float(v) for v in box]
    pictures = [f.picture.bgr() for f in VideoReader(shut).frames()]
    return Panel(name, filmed, pictures, boxes, sound)


def cut_out(scan: Scan, part: Part) -> list[Image]:
    """Pictures of a panel, 25 a second; the face stands still in each shot."""
    import cv2

    times = (scan.pts - scan.pts[0]).astype(float) * float(scan.video.time_base)
    wanted = np.arange(round(part.start * RATE), round(part.stop * RATE)) / RATE
    frames = np.searchsorted(times, wanted + 1e-6, side="right") - 1
    tracks = scan.tracks_of(part.person)
    found = []
    reader = VideoReader(scan.video.path, info=scan.video)
    pictures = reader.frames(start=int(frames[0]), pts=[int(p) for p in scan.pts])
    frame = next(pictures)
    for index in frames:
        while frame.index < index:
            frame = next(pictures)
        track = next((t for t in tracks if t.position(int(index)) is not None), None)
        if track is None:
            raise SystemExit(f"{part.person} is not seen at {times[index]:.2f} s of {part.video}.")
        box = np.median(track.boxes, axis=0)
        scale = FACE * HIGH / float(box[3] - box[1])
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        matrix = np.array(
            [[scale, 0, WIDE / 2 - scale * x], [0, scale, 0.45 * HIGH - scale * y]], np.float64
        )
        border = cv2.BORDER_REPLICATE
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        found.append(
            cv2.warpAffine(frame.picture.bgr(), matrix, (WIDE, HIGH), flags=kind, borderMode=border)
        )
    return found


@dataclass
class Conversation:
    """What is shown and heard so far, and the truth of it."""

    pictures: list[Image]
    sound: list[Image]
    shots: list[dict[str, Any]]
    frames: list[dict[str, Any]]
    turns: list[tuple[float, float, str]]

    def add(self, panels: list[Panel], rows: list[list[int]], speaker: int, room: int) -> None:
        """Show panels side by side, in the middle of `room` of them, as `rows` number pictures.

        Args:
            speaker: place of who is shown as filmed; -1 for nobody.
        """
        start, margin = len(self.pictures), (room - len(panels)) * WIDE // 2
        for i, own in enumerate(zip(*rows, strict=True)):
            picture = np.full((HIGH, room * WIDE, 3), 24, np.uint8)
            faces = []
            for place, (panel, number) in enumerate(zip(panels, own, strict=True)):
                left = margin + place * WIDE
                source = panel.filmed if place == speaker else panel.shut
                picture[:, left : left + WIDE] = source[number]
                x0, y0, x1, y1 = panel.boxes[number]
                if x1 > x0:
                    box = [round(v) for v in (x0 + left, y0, x1 + left, y1)]
                    faces.append({"id": panel.name, "box": box, "visible": 1.0})
            self.frames.append({"i": start + i, "t": (start + i) / RATE, "faces": faces})
            self.pictures.append(picture)
        shown = [panel.name for panel in panels]
        self.shots.append({"start": start, "end": len(self.pictures) - 1, "on_screen": shown})

    def say(self, who: str | None, samples: Image) -> None:
        """Put sound under what was added last."""
        start = self.shots[-1]["start"] / RATE
        self.sound.append(samples)
        self.shots[-1]["audio_from"] = who
        if who is not None:
            self.turns.append((start, start + len(samples) / SOUND, who))


def converse(panels: list[Panel], turns: list[float], pause: float, away: int) -> Conversation:
    """Let everybody speak in turn until somebody's stretch is used up."""
    made = Conversation([], [], [], [], [])
    for number, seconds in enumerate(itertools.cycle(turns)):
        speaker = number % len(panels)
        spoken, samples = panels[speaker].speaks(round(seconds * RATE))
        if len(spoken) < RATE // 2:
            return made
        numbers = [
            spoken if place == speaker else panel.listens(len(spoken))
            for place, panel in enumerate(panels)
        ]
        shown = list(range(len(panels)))
        if away and number % away == away - 1:
            shown.remove(speaker)
        place = shown.index(speaker) if speaker in shown else -1
        made.add([panels[p] for p in shown], [numbers[p] for p in shown], place, len(panels))
        made.say(panels[speaker].name, samples)
        rest = round(pause * RATE)
        if rest:
            made.add(panels, [panel.listens(rest) for panel in panels], -1, len(panels))
            made.say(None, np.zeros(rest * SOUND // RATE, np.float32))
    return made


def write_film(path: Path, pictures: Iterable[Image], sound: Image) -> None:
    """Write H.264 and 16-bit PCM-like AAC at 25 pictures a second."""
    import av

    rest = iter(pictures)
    first = next(rest)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=RATE)
        video.height, video.width = first.shape[:2]
        video.pix_fmt, video.options = "yuv420p", {"crf": "12", "preset": "fast"}
        audio: Any = out.add_stream("aac", rate=SOUND)
        audio.codec_context.layout = "mono"
        for i, picture in enumerate(itertools.chain([first], rest)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for at in range(0, len(sound), 1024):
            block = np.ascontiguousarray(sound[at : at + 1024], np.float32).reshape(1, -1)
            heard = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            heard.sample_rate, heard.time_base, heard.pts = SOUND, Fraction(1, SOUND), at
            out.mux(audio.encode(heard))
        out.mux(audio.encode(None))


def write_sound(path: Path, samples: Image) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SOUND, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", type=Part.parse, metavar="VIDEO:P1@0-7")
    parser.add_argument("--turns", nargs="+", type=float, default=[2.4, 1.6, 3.2, 1.2])
    parser.add_argument("--pause", type=float, default=0.32, help="seconds between turns")
    parser.add_argument("--away", type=int, default=4, help="every so-manieth speaker is not shown")
    parser.add_argument("--keep", type=Path, help="folder in which the shut mouths are kept")
    options = parser.parse_args()
    app = App()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        panels = [
            panel_of(app, part, chr(ord("A") + i), folder) for i, part in enumerate(options.parts)
        ]
    made = converse(panels, options.turns, options.pause, options.away)
    write_film(options.out, made.pictures, np.concatenate(made.sound))
    truth = {"video": options.out.name, "shots": made.shots, "frames": made.frames}
    options.out.with_suffix(".json").write_text(json.dumps(truth), encoding="utf-8")
    rttm = rttm_text(options.out.stem, made.turns)
    options.out.with_suffix(".rttm").write_text(rttm, encoding="utf-8")
    print(f"{options.out}: {len(made.pictures) / RATE:.1f} s, {len(made.turns)} turns")


if __name__ == "__main__":
    main()
