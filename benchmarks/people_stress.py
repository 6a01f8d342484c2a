"""Finds people in footage that is nothing like the clips the thresholds were set on.

    python benchmarks/people_stress.py MEDIA [CASE ...] [--keep FOLDER]

Every case is made on the fly, always the same, from the annotated clips of MEDIA: cut into one
another, scaled, cropped, turned, darkened, compressed and so on.  The truth goes through the same
geometry.  For every case:

    people      sure people found / true people with at least `MIN_FRAMES` frames that count
    unsure      groups that were kept apart
    precision   of pairs of faces given to one sure person, the share that are one person
    recall      of pairs of faces of one person, the share given to one sure person
    covered     share of faces that a track of the right person covers
    merged      faces held by a sure person who is mostly somebody else: changed wrongly
    split       further sure people for somebody who has been found already
    false       sure people without a true face
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from people import matches, overlap, ranges

from facepick.models.store import default_store
from facepick.people.assignment import assign
from facepick.people.export import people_json
from facepick.people.finder import ScanSettings, find_people

Image = Any
WIDTH, HEIGHT = 1280, 720
MIN_FRAMES = 10
# Photographs of people: they may stay unsure, and must not be taken for anybody alive.
PICTURES = ("poster", "photo", "avo_demo:still")


@dataclass(frozen=True)
class Face:
    """A true face: box in pixels, the share of it that is to be seen."""

    who: str
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True)
class Picture:
    """One frame and who is in it; `care` is off where nobody can say who should be found."""

    image: Image
    faces: tuple[Face, ...] = ()


Stream = Iterator[Picture]


# ---------------------------------------------------------------------------------- sources


class Media:
    """The annotated clips."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._truth: dict[str, dict[int, tuple[Face, ...]]] = {}

    def truth(self, name: str) -> dict[int, tuple[Face, ...]]:
        if name not in self._truth:
            plain = json.loads((self.folder / "gt" / f"{name}.json").read_text())
            self._truth[name] = {
                f["i"]: tuple(
                    Face(
                        f"{name}:{face['id']}",
                        tuple(map(float, face["box"])),
                        0.4 if face.get("est") or face["id"] == "still" else float(face["visible"]),
                    )
                    for face in f["faces"]
                )
                for f in plain["frames"]
            }
        return self._truth[name]

    def clip(self, name: str, start: int, stop: int) -> Stream:
        """Frames ``start <= i < stop`` at 1280x720."""
        truth = self.truth(name)
        with av.open(str(self.folder / "video" / f"{name}.mp4")) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate, base = stream.average_rate, stream.time_base
            first = stream.start_time or 0
            container.seek(first + int(start / rate / base), stream=stream)
            for frame in container.decode(stream):
                index = round((frame.pts - first) * base * rate)
                if index >= stop:
                    return
                if index >= start:
                    image = frame.to_ndarray(format="bgr24")
                    yield Picture(image, truth.get(index, ()))

    def photo(self, name: str, number: int) -> Image:
        path = self.folder / "faces" / name / f"{number}.jpg"
        return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)

    def shots(self, *spans: tuple[str, int, int]) -> Stream:
        for span in spans:
            yield from self.clip(*span)


# ------------------------------------------------------------------------------- transforms


def moved(faces: Sequence[Face], matrix: Any, size: tuple[int, int]) -> tuple[Face, ...]:
    """The truth through an affine map; what leaves the picture is no longer visible."""
    made = []
    for face in faces:
        x0, y0, x1, y1 = face.box
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        corners = corners @ matrix[:, :2].T + matrix[:, 2]
        centre = corners.mean(axis=0)
        # A turned head has no larger box than an upright one.
        half = np.array([(x1 - x0), (y1 - y0)]) / 2 * np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        a, b = centre - half, centre + half
        inside = np.clip(b, 0, size) - np.clip(a, 0, size)
        before = np.clip([x1, y1], 0, (WIDTH, HEIGHT)) - np.clip([x0, y0], 0, (WIDTH, HEIGHT))
        share = float(np.prod(inside) / max(1.0, np.prod(2 * half)))
        old = float(np.prod(before) / max(1.0, (x1 - x0) * (y1 - y0)))
        # What covered a face before still does.
        visible = share * min(1.0, face.visible / max(old, 1e-3))
        if visible > 0:
            made.append(Face(face.who, (*a, *b), visible))
    return tuple(made)


def warped(
    stream: Stream, matrix: Callable[[int], Any], size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Stream:
    for i, item in enumerate(stream):
        m = np.asarray(matrix(i), np.float64)
        shrink = np.sqrt(abs(np.linalg.det(m[:, :2]))) < 0.7
        if shrink and abs(m[0, 1]) < 1e-6:
            # Plain reduction by area; the border stays black.
            w, h = round(WIDTH * m[0, 0]), round(HEIGHT * m[1, 1])
            small = cv2.resize(item.image, (w, h), interpolation=cv2.INTER_AREA)
            shift = np.array([[1, 0, m[0, 2]], [0, 1, m[1, 2]]])
            image = cv2.warpAffine(small, shift, size)
        else:
            image = cv2.warpAffine(item.image, m, size, flags=cv2.INTER_LINEAR)
        yield Picture(image, moved(item.faces, m, size))


def scaled(stream: Stream, width: int, height: int) -> Stream:
    m = np.array([[width / WIDTH, 0, 0], [0, height / HEIGHT, 0]])
    return warped(stream, lambda _i: m, (width, height))


def looking(stream: Stream, change: Callable[[Image, int], Image]) -> Stream:
    for i, item in enumerate(stream):
        yield replace(item, image=np.ascontiguousarray(change(item.image, i)))


def mirrored(stream: Stream) -> Stream:
    return warped(stream, lambda _i: np.array([[-1.0, 0, WIDTH - 1], [0, 1.0, 0]]))


def about_centre(zoom: float, degrees: float = 0.0, dx: float = 0.0, dy: float = 0.0) -> Any:
    m = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, zoom)
    m[:, 2] += (dx, dy)
    return m


def crossing(a: Stream, b: Stream, length: int) -> Stream:
    """`a` dissolves into `b` over its last and b's first `length` frames."""
    tail: list[Picture] = []
    for item in a:
        tail.append(item)
        if len(tail) > length:
            yield tail.pop(0)
    for k, item in enumerate(tail):
        other = next(b)
        share = (k + 1) / (length + 1)
        image = cv2.addWeighted(item.image, 1 - share, other.image, share, 0)
        faces = [replace(f, visible=f.visible if share < 0.3 else 0.3) for f in item.faces]
        faces += [replace(f, visible=f.visible if share > 0.7 else 0.3) for f in other.faces]
        yield Picture(image, tuple(faces))
    yield from b


def through_black(stream: Stream, length: int, total: int) -> Stream:
    """Fades in from black and out to it."""
    for i, item in enumerate(stream):
        light = min(1.0, (i + 1) / length, (total - i) / length)
        faces = tuple(replace(f, visible=f.visible if light > 0.5 else 0.3) for f in item.faces)
        yield Picture((item.image * light).astype(np.uint8), faces)


def beside(panes: Sequence[Stream], columns: int) -> Stream:
    """Several pictures in one, each reduced alike."""
    rows = -(-len(panes) // columns)
    zoom = 1 / max(columns, rows)
    w, h = round(WIDTH * zoom), round(HEIGHT * zoom)
    small = [warped(p, lambda _i: np.array([[zoom, 0, 0], [0, zoom, 0]]), (w, h)) for p in panes]
    top, left = (HEIGHT - rows * h) // 2, (WIDTH - columns * w) // 2
    for items in zip(*small, strict=False):
        image = np.full((HEIGHT, WIDTH, 3), 24, np.uint8)
        faces: list[Face] = []
        for k, item in enumerate(items):
            x, y = left + k % columns * w, top + k // columns * h
            image[y : y + h, x : x + w] = item.image
            for f in item.faces:
                box = (f.box[0] + x, f.box[1] + y, f.box[2] + x, f.box[3] + y)
                faces.append(replace(f, box=box))
        yield Picture(image, tuple(faces))


def with_poster(stream: Stream, photo: Image, who: str, place: tuple[int, int, int, int]) -> Stream:
    """A photograph on the wall: (x, y, w, h) of the picture; nobody alive."""
    x, y, w, h = place
    small = cv2.resize(photo, (w, h), interpolation=cv2.INTER_AREA)
    face = Face(who, (x + w * 0.2, y + h * 0.2, x + w * 0.8, y + h * 0.8), 0.4)
    for item in stream:
        image = item.image.copy()
        image[y : y + h, x : x + w] = small
        faces = [f for f in item.faces if overlap(f.box, (x, y, x + w, y + h)) < 0.05]
        yield Picture(image, (*faces, face))


def gamma(value: float) -> Callable[[Image, int], Image]:
    table = (255 * (np.arange(256) / 255.0) ** value).round().astype(np.uint8)
    return lambda image, _i: cv2.LUT(image, table)


def cast(blue: float, green: float, red: float) -> Callable[[Image, int], Image]:
    return lambda image, _i: np.clip(image * np.array([blue, green, red]), 0, 255).astype(np.uint8)


def gray(image: Image, _i: int) -> Image:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def noise(sigma: float) -> Callable[[Image, int], Image]:
    fields = np.random.default_rng(7).normal(0, sigma, (4, HEIGHT, WIDTH, 1)).astype(np.float32)

    def change(image: Image, i: int) -> Image:
        field = np.roll(fields[i % 4], (i * 131) % WIDTH, axis=1)
        field = field[: image.shape[0], : image.shape[1]]
        return np.clip(image + field, 0, 255).astype(np.uint8)

    return change


def smeared(length: int, every: int = 1) -> Callable[[Image, int], Image]:
    kernel = np.full((1, length), 1 / length, np.float32)
    return lambda image, i: (
        cv2.filter2D(image, -1, kernel) if i % every < every / 2 + 0.5 else image
    )


def subtitled(image: Image, i: int) -> Image:
    """Bars above and below, as of 2.39 to 1, and two lines of text that change."""
    image = image.copy()
    bar = (HEIGHT - round(WIDTH / 2.39)) // 2
    image[:bar] = image[-bar:] = 0
    words = ("WHY DID YOU NOT TELL ME THE TRUTH", "BECAUSE YOU NEVER ASKED", "LEAVE THIS HOUSE")
    for line in range(2):
        place = (220 + 60 * line, HEIGHT - 130 + 60 * line)
        text = words[(i // 30 + line) % 3]
        for shade, width in ((0, 8), (255, 3)):
            font = cv2.FONT_HERSHEY_DUPLEX
            cv2.putText(image, text, place, font, 1.5, (shade,) * 3, width, cv2.LINE_AA)
    return image


# ------------------------------------------------------------------------------------ cases

# Stretches with different people, sizes and layouts; the same people come back.
MIXED = (
    ("dev_gt4", 215, 265),
    ("dev_gt2", 110, 160),
    ("vv_interview", 20, 70),
    ("dev_gt2", 190, 240),
    ("dev_gt4", 365, 415),
    ("dev_gt2", 310, 360),
    ("dev_gt4", 305, 345),
    ("vv_interview", 300, 350),
    ("dev_gt4", 10, 60),
    ("dev_gt2", 690, 740),
)
SHORT = (
    ("dev_gt4", 110, 150),
    ("dev_gt2", 20, 70),
    ("vv_interview", 100, 150),
    ("dev_gt4", 370, 430),
)


@dataclass(frozen=True)
class Case:
    make: Callable[[Media], Stream]
    rate: Fraction = Fraction(25)
    crf: int = 20
    repeat: Callable[[int], int] = lambda _i: 1  # how often frame i is shown; 0 drops it


def _pieces(media: Media) -> Stream:
    """Shots of 8 to 15 frames out of three clips."""
    rng = np.random.default_rng(3)
    spans = {"dev_gt4": (0, 1030), "dev_gt2": (0, 400), "vv_interview": (0, 420)}
    truth_cuts = {
        "dev_gt4": (100, 160, 210, 300, 360, 450, 540, 560, 650, 750, 825, 900, 980),
        "dev_gt2": (100, 175, 250, 300),
        "vv_interview": (),
    }
    names = list(spans)
    done = 0
    while done < 36:
        name = names[done % 3]
        start = int(rng.integers(*spans[name]))
        length = int(rng.integers(8, 16))
        if any(start < c < start + length for c in truth_cuts[name]) or 540 <= start < 560:
            continue
        yield from media.clip(name, start, start + length)
        done += 1


def _looks(media: Media) -> Stream:
    """The same people in light of every kind."""
    looks = [gamma(0.5), gamma(1.8), cast(0.6, 0.9, 1.2), gray, cast(1.3, 1.0, 0.7), gamma(2.6)]
    for k, change in enumerate(looks):
        for name, start, stop in SHORT:
            yield from looking(media.clip(name, start + 4 * k % 16, stop - 20), change)


def _faded(media: Media) -> Stream:
    stream = media.clip(*MIXED[0])
    for span in MIXED[1:6]:
        stream = crossing(stream, media.clip(*span), 12)
    yield from stream
    for name, start, stop in MIXED[6:]:
        yield from through_black(media.clip(name, start, stop), 10, stop - start)


def _sides(media: Media) -> Stream:
    """Every other shot the other way round, and a cut between the two."""
    for k, (name, start, stop) in enumerate(MIXED[:8]):
        stream = media.clip(name, start, stop)
        yield from mirrored(stream) if k % 2 else stream
        back = media.clip(name, start, start + 25)
        yield from back if k % 2 else mirrored(back)


def _vertical(media: Media) -> Stream:
    """A phone's 9:16 out of the middle and out of both halves."""
    size = (406, 720)
    for k, span in enumerate(MIXED):
        x = (437, 120, 750)[k % 3]
        m = np.array([[1.0, 0, -x], [0, 1.0, 0]])
        yield from warped(media.clip(*span), lambda _i, m=m: m, size)


def _wide_and_close(media: Media) -> Stream:
    """Tiny in a wide shot, then near."""
    for k, span in enumerate((*MIXED[:6], *SHORT)):
        zoom = (0.28, 1.6)[k % 2]
        yield from warped(
            media.clip(*span), lambda _i, z=zoom, k=k: about_centre(z, dx=(-150, 90)[k % 4 // 2])
        )


def _edges(media: Media) -> Stream:
    """The camera pans so that faces enter and leave at both sides."""
    for name, start, stop in (*MIXED[:4], *MIXED[5:8]):
        n = stop - start
        yield from warped(
            media.clip(name, start, stop),
            lambda i, n=n: about_centre(1.0, dx=900 * np.sin(2 * np.pi * i / n)),
        )


def _shaken(media: Media) -> Stream:
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.normal(0, 7, (2000, 2)), axis=0)
    walk -= np.stack([np.convolve(walk[:, c], np.ones(25) / 25, "same") for c in (0, 1)], axis=1)
    for span in MIXED:
        yield from warped(
            media.clip(*span), lambda i: about_centre(1.1, dx=walk[i + 50, 0], dy=walk[i + 50, 1])
        )


def _posters(media: Media) -> Stream:
    """Two people; on the wall a photograph of a third, in later shots too."""
    photo = _square(media.photo("kit_harington", 1))
    for name, start, stop in (
        ("dev_gt2", 100, 240),
        ("dev_gt2", 680, 740),
        ("vv_interview", 0, 100),
    ):
        place = (60, 60, 240, 240) if name == "dev_gt2" else (540, 420, 200, 200)
        yield from with_poster(media.clip(name, start, stop), photo, "poster", place)


def _own_poster(media: Media) -> Stream:
    """A photograph of somebody who also appears alive, in shots of others and in his own."""
    (still,) = islice(media.clip("dev_gt2", 200, 201), 1)
    x0, y0, x1, y1 = (int(v) for v in still.faces[0].box)
    photo = still.image[y0 - 70 : y1 + 70, x0 - 70 : x1 + 70]
    place = (60, 40, 230, 230)
    yield from with_poster(media.clip("dev_gt4", 165, 205), photo, "photo", place)
    yield from media.clip("dev_gt2", 180, 245)
    yield from with_poster(media.clip("dev_gt2", 102, 170), photo, "photo", place)
    yield from with_poster(media.clip("dev_gt4", 110, 155), photo, "photo", place)
    yield from media.clip("dev_gt2", 430, 500)


def _square(image: Image) -> Image:
    side = min(image.shape[:2])
    y, x = (image.shape[0] - side) // 3, (image.shape[1] - side) // 2
    return image[y : y + side, x : x + side]


def _slides(media: Media) -> Stream:
    """Photographs of nineteen people, some years apart, each moved about for a second."""
    people = sorted(p.name for p in (media.folder / "faces").iterdir() if p.name[0] != "_")
    store = default_store()
    from facepick.faces.analyzers.yunet import YuNetDetector
    from facepick.models.catalog import YUNET

    detector = YuNetDetector(store.require(YUNET))
    for number in (1, 2, 3, 4, 5):
        for k, name in enumerate(people):
            if not (media.folder / "faces" / name / f"{number}.jpg").is_file():
                continue
            photo = media.photo(name, number)
            zoom = 640 / max(photo.shape[:2])
            photo = cv2.resize(photo, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
            found = detector.detect(photo)
            found = found.take(found.score >= 0.6)
            if len(found) != 1 or found.box(0).height < 60:
                continue
            canvas = np.full((HEIGHT, WIDTH, 3), 40 + 9 * k % 90, np.uint8)
            h, w = photo.shape[:2]
            x, y = (WIDTH - w) // 2, (HEIGHT - h) // 2
            canvas[y : y + h, x : x + w] = photo
            b = found.xyxy[0] + np.array([x, y, x, y])
            still = Picture(canvas, (Face(name, tuple(map(float, b)), 1.0),))
            yield from warped(
                iter([still] * 20),
                lambda i, k=k: about_centre(1 + 0.01 * i, degrees=0.3 * i * (-1) ** k, dx=2.0 * i),
            )


def _poor(stream: Stream) -> Stream:
    """Dark, noisy, tinted and small, as a phone shows a lit room at night."""
    stream = looking(looking(looking(stream, gamma(1.7)), noise(7)), cast(0.8, 0.95, 1.1))
    return scaled(stream, 640, 360)


def _upright(stream: Stream) -> Stream:
    """The middle of the picture as a phone's 540x960, half of it a blurred background."""
    for item in stream:
        back = cv2.GaussianBlur(cv2.resize(item.image, (54, 96)), (0, 0), 3)
        image = cv2.resize(back, (540, 960))
        m = np.array([[540 / WIDTH, 0, 0], [0, 540 / WIDTH, 328]])
        small = cv2.resize(item.image, (540, 304), interpolation=cv2.INTER_AREA)
        image[328:632] = small
        yield Picture(image, moved(item.faces, m, (540, 960)))


def _hands(media: Media) -> Stream:
    """Something passes before the faces."""
    for name, start, stop in MIXED[:8]:
        n = stop - start

        def cover(item: Picture, i: int, n: int = n) -> Picture:
            x = round(-200 + 1600 * i / n)
            image = item.image.copy()
            cv2.rectangle(image, (x, 0), (x + 130, HEIGHT), (70, 90, 120), -1)
            faces = []
            for f in item.faces:
                w = f.box[2] - f.box[0]
                hidden = max(0.0, min(x + 130, f.box[2]) - max(x, f.box[0])) / w
                faces.append(replace(f, visible=f.visible * (1 - hidden) if hidden < 0.3 else 0.2))
            return Picture(image, tuple(faces))

        yield from (cover(item, i) for i, item in enumerate(media.clip(name, start, stop)))


def _mosaic(media: Media) -> Stream:
    """Ten living people and one photograph at once, then some of them alone."""
    panes = [
        media.clip("dev_gt4", 0, 95),
        media.clip("vv_interview", 0, 95),
        media.clip("avo_demo", 0, 95),
        media.clip("dev_gt2", 0, 95),
    ]
    yield from beside(panes, 2)
    yield from media.shots(*MIXED[:4])


CASES: dict[str, Case] = {
    "interleaved": Case(lambda m: m.shots(*MIXED)),
    "short_shots": Case(_pieces),
    "fades": Case(_faded),
    "mirrored": Case(_sides),
    "looks": Case(_looks),
    "gray": Case(lambda m: looking(m.shots(*MIXED[:8]), gray)),
    "dark_noisy": Case(
        lambda m: looking(looking(m.shots(*MIXED[:8]), gamma(2.4)), noise(9)), crf=30
    ),
    "bright": Case(lambda m: looking(m.shots(*MIXED[:8]), gamma(0.45))),
    "360p": Case(lambda m: scaled(m.shots(*MIXED), 640, 360), crf=26),
    "240p": Case(lambda m: scaled(m.shots(*MIXED), 426, 240), crf=26),
    "360p_crf38": Case(lambda m: scaled(m.shots(*MIXED), 640, 360), crf=38),
    "720p_crf40": Case(lambda m: m.shots(*MIXED[:8]), crf=40),
    "1080p": Case(lambda m: scaled(m.shots(*MIXED[:6]), 1920, 1080)),
    "2160p": Case(
        lambda m: scaled(m.shots(*[(n, a, a + 14) for n, a, _ in MIXED[:6]]), 3840, 2160)
    ),
    "vertical": Case(_vertical),
    "letterbox": Case(lambda m: looking(m.shots(*MIXED[:8]), subtitled)),
    "noise": Case(lambda m: looking(m.shots(*MIXED[:8]), noise(22))),
    "smeared": Case(lambda m: looking(m.shots(*MIXED[:8]), smeared(19, 16))),
    "smeared_all": Case(lambda m: looking(m.shots(*MIXED[:8]), smeared(13))),
    "12fps": Case(lambda m: m.shots(*MIXED), rate=Fraction(12), repeat=lambda i: (i + 1) % 2),
    "50fps": Case(lambda m: m.shots(*MIXED[:6]), rate=Fraction(50), repeat=lambda _i: 2),
    "60fps": Case(
        lambda m: m.shots(*MIXED[:6]), rate=Fraction(60), repeat=lambda i: 2 + i % 5 // 3
    ),
    "mosaic": Case(_mosaic),
    "zoom": Case(
        lambda m: warped(m.shots(*MIXED[:8]), lambda i: about_centre(1 + 0.6 * abs(np.sin(i / 60))))
    ),
    "tilted": Case(lambda m: warped(m.shots(*MIXED[:8]), lambda _i: about_centre(1.0, 14))),
    "rolling": Case(
        lambda m: warped(m.shots(*MIXED[:8]), lambda i: about_centre(1.0, 20 * np.sin(i / 20)))
    ),
    "edges": Case(_edges),
    "shaken": Case(_shaken),
    "wide_close": Case(_wide_and_close),
    "hands": Case(_hands),
    "poster": Case(_posters),
    "own_poster": Case(_own_poster),
    "slides": Case(_slides),
    "slides_240p": Case(lambda m: scaled(_slides(m), 426, 240), crf=34),
    "slides_gray": Case(lambda m: looking(_slides(m), lambda x, i: gamma(1.8)(gray(x, i), i))),
    "slides_poor": Case(lambda m: _poor(_slides(m)), crf=34),
    "pieces_poor": Case(lambda m: _poor(_pieces(m)), crf=36),
    "looks_poor": Case(lambda m: scaled(_looks(m), 640, 360), crf=36),
    "wide_poor": Case(lambda m: _poor(_wide_and_close(m)), crf=34),
    "upright": Case(lambda m: _upright(_pieces(m)), rate=Fraction(30), crf=32),
    "upright_poor": Case(lambda m: _upright(looking(m.shots(*MIXED), gamma(2.0))), crf=38),
}


# ---------------------------------------------------------------------------------- scoring


def write(case: Case, media: Media, path: Path) -> None:
    """The case as an mp4, and its truth beside it as JSON."""
    truth: list[list[Any]] = []
    with av.open(str(path), "w") as container:
        stream: Any = None
        for i, item in enumerate(case.make(media)):
            if stream is None:
                stream = container.add_stream("libx264", rate=case.rate)
                stream.height, stream.width = item.image.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": str(case.crf), "preset": "veryfast"}
            for _ in range(case.repeat(i)):
                frame = av.VideoFrame.from_ndarray(item.image, format="bgr24")
                container.mux(stream.encode(frame))
                truth.append([[f.who, [*map(float, f.box)], f.visible] for f in item.faces])
        container.mux(stream.encode(None))
    path.with_suffix(".json").write_text(json.dumps(truth))


@dataclass
class Score:
    """See the head of this file."""

    found: int = 0
    true: int = 0
    unsure: int = 0
    precision: float = 1.0
    recall: float = 1.0
    covered: float = 1.0
    merged: int = 0
    split: int = 0
    false: int = 0
    details: tuple[str, ...] = ()

    @property
    def numbers(self) -> list[str]:
        return [name for name in vars(self) if name != "details"]


def pairs(counts: Sequence[int]) -> int:
    return sum(n * (n - 1) // 2 for n in counts)


def score(result: dict[str, Any], truth: list[list[Any]]) -> Score:
    sure = {p["id"] for p in result["people"] if not p.get("unsure")}
    boxes: dict[int, list[tuple[str | None, list[float]]]] = defaultdict(list)
    for track in result["tracks"]:
        for row in track["boxes"]:
            boxes[row[0]].append((track["person"], row[1:]))
    smallest = min(result["video"]["width"], result["video"]["height"]) * 0.03
    table: Counter[tuple[str, str]] = Counter()  # (true, found) over the faces that count
    seen: Counter[str] = Counter()
    touched: Counter[str] = Counter()  # frames in which a found person is on a true face at all
    where: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, faces in enumerate(truth):
        rows = boxes.get(i, [])
        cost = np.full((len(faces), len(rows)), np.inf)
        for r, (_, box, _) in enumerate(faces):
            for c, (_, held) in enumerate(rows):
                if matches(held, box) or overlap(held, box) > 0.2:
                    cost[r, c] = 1 - overlap(held, box)
        at = dict(assign(cost, limit=2.0))
        for r, (who, box, visible) in enumerate(faces):
            person = rows[at[r]][0] if r in at else None
            if person is not None:
                touched[person] += 1
            # Whoever holds a face that is hardly to be seen is counted where it is wrong only.
            care = visible >= 0.5 and box[3] - box[1] >= smallest
            if care:
                seen[who] += 1
            if person in sure and (care or who in PICTURES):
                table[who, person] += 1
                where[who, person].append(i)
            elif care:
                where[who, "-"].append(i)
    people = sorted(w for w, n in seen.items() if n >= MIN_FRAMES)
    owner: dict[str, str] = {}
    for person in sure:
        rows_of = {w: n for (w, p), n in table.items() if p == person}
        if rows_of:
            owner[person] = max(rows_of, key=lambda w: (rows_of[w], w))
    best: dict[str, int] = defaultdict(int)
    for (who, person), n in table.items():
        if owner[person] == who:
            best[who] = max(best[who], n)
    live = {k: v for k, v in table.items() if k[0] not in PICTURES}
    together = pairs(list(live.values()))
    by_found = Counter[str]()
    for (_, person), n in live.items():
        by_found[person] += n
    made = Score(
        found=len(sure),
        true=len(people),
        unsure=len(result["people"]) - len(sure),
        precision=together / max(1, pairs(list(by_found.values()))),
        recall=together / max(1, pairs(list(seen.values()))),
        covered=sum(best.values()) / max(1, sum(seen.values())),
        merged=sum(n for (who, person), n in table.items() if owner[person] != who),
        split=sum(max(0, k - 1) for k in Counter(owner.values()).values()),
        false=sum(1 for p in sure if not touched[p]),
    )
    lines = [f"{w} is {p}: {len(f)} {ranges(f)}" for (w, p), f in sorted(where.items())]
    return replace(made, details=tuple(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--accuracy", default="balanced")
    parser.add_argument("--details", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder for the made videos, used again if there")
    args = parser.parse_args()
    media, store = Media(args.media), default_store()
    out = sys.stdout
    out.write(
        f"{'case':14}{'people':>9}{'unsure':>7}{'precision':>10}{'recall':>8}{'covered':>8}"
        f"{'merged':>7}{'split':>6}{'false':>6}\n"
    )
    total = Score(precision=0.0, recall=0.0, covered=0.0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in args.cases:
            path = folder / f"{name}.mp4"
            if not path.with_suffix(".json").is_file():
                write(CASES[name], media, path)
            settings = ScanSettings(accuracy=args.accuracy)
            scan = find_people(path, settings, models=store, cache=Path(temporary) / "cache")
            s = score(people_json(scan), json.loads(path.with_suffix(".json").read_text()))
            out.write(
                f"{name:14}{s.found:>5}/{s.true:>3}{s.unsure:>7}{s.precision:>10.4f}{s.recall:>8.4f}"
                f"{s.covered:>8.4f}{s.merged:>7}{s.split:>6}{s.false:>6}\n"
            )
            if args.details:
                out.writelines(f"    {line}\n" for line in s.details)
            out.flush()
            for key in total.numbers:
                setattr(total, key, getattr(total, key) + getattr(s, key))
            if args.keep is None:
                path.unlink()
    n = len(args.cases)
    out.write(
        f"{'all':14}{total.found:>5}/{total.true:>3}{total.unsure:>7}{total.precision / n:>10.4f}"
        f"{total.recall / n:>8.4f}{total.covered / n:>8.4f}{total.merged:>7}{total.split:>6}"
        f"{total.false:>6}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
