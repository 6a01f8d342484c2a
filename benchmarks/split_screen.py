"""Split screens with exact turns, of people who were each filmed speaking alone.

    python benchmarks/split_screen.py MEDIA OUT

One person is heard at a time.  In two clips everybody's mouth moves all the time, to the person's
own words: whoever is not heard is shown talking without sound.  In the third, listeners are shown
in a pause of their own, back and forth.  Now and then somebody is heard who is not shown, or who
is never seen.  Layouts, sizes of faces, who is where, cuts and turns of one to six seconds are
drawn by a seed.  `benchmarks/speakers.py MEDIA --built` measures on these clips; nothing was
chosen by them.  `split_four` is for local measurement only, as the footage it is made of.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from conversation import FACE, HIGH, RATE, SOUND, WIDE, Image, Part, cut_out, write_film

from facepick.app import App
from facepick.media.audio import read_mono
from facepick.people.person import Scan

STEP = SOUND // RATE
LOUDNESS = 0.06
"""Of every source (RMS): nobody shall be known by being loud."""
FADE = SOUND // 50
HIDDEN = 0.25
"""Share of turns whose speaker is not shown."""
Place = tuple[float, float, float]
"""Left, top and height of a panel, as shares of the picture's height."""


@dataclass(frozen=True)
class Plan:
    """What a clip is made of."""

    name: str
    seed: int
    seconds: float
    size: tuple[int, int]
    people: dict[str, tuple[str, ...]]
    """Stretches in which the person is seen and heard alone: ``dev_gt2:P1@0-7``."""
    strangers: tuple[str, ...]
    """Files of speech of people who are never seen."""
    layouts: tuple[tuple[Place, ...], ...]
    silent: dict[str, str] = field(default_factory=dict)
    """Pauses in which the person's mouth is still, shown while others are heard; or talking on."""


_THREE = {
    "A": ("dev_gt2:A@0-7", "dev_gt2:A@27.2-30.1"),
    "B": ("dev_gt2:B@7-10", "dev_gt2:B@12-16", "dev_gt2:B@20.3-24.1"),
    "M": ("latentsync_demo3:M@0-20",),
}
PLANS = (
    Plan(
        name="split_three",
        seed=1,
        seconds=48,
        size=(1280, 720),
        people=_THREE,
        strangers=("en_jfk_m_11s_44k.flac", "en_ljspeech_f_22k.wav"),
        layouts=(
            ((0.02, 0.2, 0.68), (0.6, 0.2, 0.68), (1.18, 0.2, 0.68)),
            ((0.05, 0.05, 0.9), (1.0, 0.05, 0.9)),
            # Faces of about 60 and 48 pixels.
            ((0.3, 0.4, 0.2), (0.8, 0.35, 0.16), (1.3, 0.42, 0.18)),
            ((0.4, 0.0, 1.0), (1.3, 0.65, 0.33)),
        ),
    ),
    Plan(
        name="split_four",
        seed=2,
        seconds=40,
        size=(854, 480),
        people={
            "M": ("latentsync_demo3:M@0-20",),
            "R": ("vv_restaurant:R@0-8.8",),
            "F": ("happy_faces:F3@4.95-8.8",),
            "O": ("happy_faces:M1@8.95-13.5",),
        },
        strangers=("en_katie_f_18s_16k.wav", "de_9s_48k24bit.wav"),
        layouts=(
            ((0.1, 0.0, 0.5), (1.1, 0.0, 0.5), (0.1, 0.5, 0.5), (1.1, 0.5, 0.5)),
            ((0.1, 0.15, 0.8), (0.95, 0.15, 0.8)),
            # Faces of about 44, 36 and 32 pixels.
            ((0.2, 0.4, 0.22), (0.7, 0.45, 0.18), (1.2, 0.4, 0.16)),
        ),
    ),
    Plan(
        name="split_still",
        seed=3,
        seconds=42,
        size=(1280, 720),
        people=_THREE,
        strangers=("en_jfk_m_11s_44k.flac", "en_ljspeech_f_22k.wav"),
        layouts=(
            ((0.25, 0.0, 0.6), (1.05, 0.0, 0.6), (0.65, 0.6, 0.4)),
            ((0.3, 0.2, 0.5), (1.1, 0.3, 0.5)),
            # Faces of about 48, 42 and 36 pixels.
            ((0.1, 0.1, 0.16), (0.5, 0.5, 0.14), (1.4, 0.7, 0.12)),
        ),
        silent={
            "A": "dev_gt2:A@3.6-3.84",
            "B": "dev_gt2:B@8.92-9.28",
            "M": "latentsync_demo3:M@1.04-1.24",
        },
    ),
)


@dataclass
class Stretch:
    """Pictures of a panel, 25 a second, with the sound of each."""

    pictures: list[Image]
    sound: Image


class Builder:
    """Maker of clips; footage that two clips share is read once."""

    def __init__(self, app: App, media: Path) -> None:
        self.app, self.media = app, media
        self._stretches: dict[str, Stretch] = {}

    def stretch(self, text: str) -> Stretch:
        if text not in self._stretches:
            part = Part.parse(text)
            video = self.media / "video" / f"{part.video}.mp4"
            scan = self.app.find_people(video)
            owner = self._person(scan, part)
            pictures = cut_out(scan, Part(video, owner, part.start, part.stop))
            begin = Fraction(int(scan.pts[0])) * scan.video.time_base
            heard = read_mono(video, rate=SOUND, align_to=begin)
            sound = heard[round(part.start * SOUND) :]
            self._stretches[text] = Stretch(pictures, _even(sound[: len(pictures) * STEP]))
        return self._stretches[text]

    def _person(self, scan: Scan, part: Part) -> str:
        """Id of whoever has the largest face in the middle of the stretch, alone or by name."""
        truth = self.media / "gt" / f"{part.video}.json"
        times = (scan.pts - scan.pts[0]).astype(float) * float(scan.video.time_base)
        at = int(np.searchsorted(times, (part.start + part.stop) / 2))
        boxes = {
            person.id: box
            for person in scan.people
            for track in scan.tracks_of(person.id)
            if (box := track.box_at(at)) is not None
        }
        wanted = None
        if truth.exists():
            faces = json.loads(truth.read_text(encoding="utf-8"))["frames"][at]["faces"]
            x0, _, x1, _ = next(f["box"] for f in faces if f["id"] == part.person)
            wanted = (x0 + x1) / 2

        def distance(person: str) -> float:
            box = boxes[person]
            # The largest face, where no truth tells which.
            return -box.width if wanted is None else abs(box.center[0] - wanted)

        return min(boxes, key=distance)

    def build(self, plan: Plan, folder: Path) -> Path:
        """Write a clip and its truth."""
        rng = np.random.default_rng(plan.seed)
        people = {n: [self.stretch(t) for t in texts] for n, texts in plan.people.items()}
        strangers = {
            Path(file).stem: _even(read_mono(self.media / "speech" / file, rate=SOUND))
            for file in plan.strangers
        }
        silent = {name: self.stretch(text) for name, text in plan.silent.items()}
        film = Film(plan.size, people, strangers, silent)
        scene = 0
        while len(film.recipes) < plan.seconds * RATE:
            film.scene(plan.layouts[scene % len(plan.layouts)], rng)
            scene += 1
        out = folder / f"{plan.name}.mp4"
        write_film(out, film.pictures(), np.concatenate(film.sound))
        truth = {"video": out.name, "shots": film.shots, "frames": film.frames}
        out.with_suffix(".json").write_text(json.dumps(truth), encoding="utf-8")
        return out


class Film:
    """What is shown and heard so far, and the truth of it."""

    def __init__(
        self,
        size: tuple[int, int],
        people: dict[str, list[Stretch]],
        strangers: dict[str, Image],
        silent: dict[str, Stretch],
    ) -> None:
        self.size, self.people, self.strangers = size, people, strangers
        self.silent = silent
        self.recipes: list[tuple[tuple[Place, ...], dict[str, Image]]] = []
        self.sound: list[Image] = []
        self.shots: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self._last = ""

    def scene(self, layout: tuple[Place, ...], rng: np.random.Generator) -> None:
        """Add a shot: people run on from a place of their footage, and turns are laid over it."""
        shown = [str(name) for name in rng.permutation(list(self.people))[: len(layout)]]
        chosen = {n: self.people[n][rng.integers(len(self.people[n]))] for n in shown}
        count = min(
            int(rng.integers(5 * RATE, 10 * RATE)), *(len(s.pictures) for s in chosen.values())
        )
        offset = {n: int(rng.integers(len(s.pictures) - count + 1)) for n, s in chosen.items()}
        start = len(self.recipes)
        heard_at: list[str] = []
        at = 0
        while at < count:
            length = min(int(rng.integers(RATE, 6 * RATE + 1)), count - at)
            if count - at - length < RATE:
                length = count - at
            who, samples = self._speaker(shown, length, rng)
            if samples is None:
                first = (offset[who] + at) * STEP
                samples = chosen[who].sound[first : first + length * STEP]
            heard = np.zeros(length * STEP, np.float32)
            heard[: len(samples)] = samples[: len(heard)]
            ramp = np.linspace(0, 1, FADE, dtype=np.float32)
            heard[:FADE] *= ramp
            heard[-FADE:] *= ramp[::-1]
            self.sound.append(heard)
            end = start + at + length - 1
            shot = {"start": start + at, "end": end, "on_screen": shown, "audio_from": who}
            self.shots.append(shot)
            heard_at += [who] * length
            self._last, at = who, at + length
        for i, who in enumerate(heard_at):
            now = {
                n: self._silent(n, i)
                if self.silent and n != who
                else chosen[n].pictures[offset[n] + i]
                for n in shown
            }
            self._show(layout, now)

    def _silent(self, name: str, number: int) -> Image:
        """A picture of the person listening: a short pause, back and forth."""
        pictures = self.silent[name].pictures
        number %= max(1, 2 * len(pictures) - 2)
        return pictures[min(number, 2 * len(pictures) - 2 - number)]

    def _speaker(
        self, shown: list[str], length: int, rng: np.random.Generator
    ) -> tuple[str, Image | None]:
        """Who is heard next, and what, unless it is what the person is shown saying."""
        if rng.random() >= HIDDEN:
            return str(rng.choice([n for n in shown if n != self._last] or shown)), None
        away = {n: s[0].sound for n, s in self.people.items() if n not in shown}
        sounds = {n: s for n, s in {**away, **self.strangers}.items() if n != self._last}
        who = str(rng.choice(list(sounds)))
        room = max(0, len(sounds[who]) - length * STEP)
        return who, sounds[who][int(rng.integers(room + 1)) :]

    def _show(self, layout: tuple[Place, ...], panels: dict[str, Image]) -> None:
        faces = []
        for (left, top, tall), name in zip(layout, panels, strict=True):
            scale = tall * self.size[1] / HIGH
            # Where `cut_out` lays the face, which stands still there; it is taken as square.
            x = round(left * self.size[1]) + scale * WIDE / 2
            y = round(top * self.size[1]) + scale * 0.45 * HIGH
            half = scale * FACE * HIGH / 2
            box = [round(v) for v in (x - half, y - half, x + half, y + half)]
            faces.append({"id": name, "box": box, "visible": 1.0})
        number = len(self.recipes)
        self.frames.append({"i": number, "t": number / RATE, "faces": faces})
        self.recipes.append((layout, panels))

    def pictures(self) -> Iterator[Image]:
        """Draw what is shown, one picture after the other: all of them are gigabytes."""
        wide, high = self.size
        for layout, panels in self.recipes:
            picture = np.full((high, wide, 3), 24, np.uint8)
            for (left, top, tall), panel in zip(layout, panels.values(), strict=True):
                scale = tall * high / HIGH
                x, y = round(left * high), round(top * high)
                kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
                drawn = cv2.resize(panel, None, fx=scale, fy=scale, interpolation=kind)
                room = picture[y : y + drawn.shape[0], x : x + drawn.shape[1]]
                room[:] = drawn[: room.shape[0], : room.shape[1]]
            yield picture


def _even(sound: Image) -> Image:
    """The sound at the loudness that all have."""
    return np.asarray(sound * (LOUDNESS / max(1e-6, float(np.sqrt(np.mean(sound**2))))), np.float32)


def build_all(app: App, media: Path, folder: Path) -> list[Path]:
    """Write every clip of `PLANS` and its truth into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    builder = Builder(app, media)
    return [builder.build(plan, folder) for plan in PLANS]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    for path in build_all(App(), options.media, options.out):
        print(path)


if __name__ == "__main__":
    main()
