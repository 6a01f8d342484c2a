"""How well `rewrite` gives people's own speech back to them: ``benchmarks/rewrite.py --own``.

Each person is re-synced to the clip's own sound, without words, and the mouth that is shown is
compared with the one that was filmed.  Every other five seconds are held out: no mouth is taken
from them, and they, as whatever repeats their sound (clips show scenes twice), are silenced in what
the regression learns from.  A second run holds out the others.  Frames count in which the general
table, which is fitted to nobody, says that the person speaks; and moves within a shot count, not
how far lips are apart in one shot and another.  Where the clip's sound lags its picture, that is
undone first.

held out   r of the regression alone, in its own cross-validation over the whole clip
table      r of the table alone, on the same frames
shown      r of the opening that is read off the result, as the clip's own are read
chance     what r reaches in one of twenty cases when what is shown is shifted by a second or more
share      of the regression in what is asked, mean of both halves
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from facepick.compositing.compositor import composite
from facepick.compositing.patch import FacePatch
from facepick.engines.engine import EngineContext
from facepick.engines.lipsync.rewrite import inventory as inventories
from facepick.engines.lipsync.rewrite.adaptation import listen
from facepick.engines.lipsync.rewrite.engine import RewriteEngine
from facepick.engines.lipsync.rewrite.features import in_head_frame, mouth_features
from facepick.engines.lipsync.rewrite.reading import MouthReader
from facepick.faces.mesh import FaceMesh
from facepick.media.audio import read_mono
from facepick.media.reader import VideoReader
from facepick.models.store import default_store
from facepick.people.finder import find_people
from facepick.progress import never, no_progress
from facepick.render.footage import PersonFootage, crop_region
from facepick.speech.acoustic import band_levels
from facepick.speech.line import Speech, SpeechLine

HELD_SECONDS, GUARD_SECONDS = 5.0, 0.3
SAME_DB = 2.0
"""Mean difference of 25 bands over 0.2 s: repeated scenes differ by 0.5, other sounds by 3 to 8."""


def table(media: Path, only: list[str]) -> None:
    columns = ("speech s", "held out", "table", "shown", "chance", "share")
    print(f"{'person':22}" + "".join(f"{c:>10}" for c in columns))
    for name in only:
        clip, person_id = name.split(":")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            video = media / "video" / f"{clip}.mp4"
            scan = find_people(video, models=default_store(), cache=folder / "scan")
            row = person_row(scan, scan.person(person_id), folder)
        print(f"{name:22}" + "".join(f"{value:10.2f}" for value in row), flush=True)


def person_row(scan: Any, person: Any, folder: Path) -> tuple[float, ...]:
    """The columns of `table`; NaN for a person who is not found speaking."""
    store = default_store()
    mesher, reader = FaceMesh(store), MouthReader(store)
    times = (scan.pts - scan.pts[0]).astype(float) * float(scan.video.time_base)
    sound = read_mono(scan.video.path, align_to=scan.video.start_seconds)
    footage = PersonFootage(scan, person, RewriteEngine.spec, folder)

    def locate(picture: Any, state: Any, near: Any) -> Any:
        x0, y0, x1, y1 = crop_region(state.box, 0.75, picture.width, picture.height)
        return mesher.locate(picture.crop(x0, y0, x1, y1), state.landmarks5, (x0, y0))

    def stream() -> Any:
        return footage.stream((0, scan.frames), never)

    known_reads: dict[bytes, Any] = {}

    def read(image: Any, mesh: Any) -> Any:
        """Each frame once: three inventories are learned from the same footage."""
        key = mesh.tobytes()
        if key not in known_reads:
            known_reads[key] = reader.read(image, mesh)
        return known_reads[key]

    footage.prepare(locate, frames=(0, scan.frames), progress=no_progress, cancel=never)
    whole = inventories.learn(stream(), _new(folder / "whole"), read=read)
    assert whole is not None
    shape = (whole.shape - whole.shape.mean(axis=0)) / whole.shape.std(axis=0)
    voice = listen(sound, times[whole.frames], shape.astype(np.float32), whole.shots)
    if voice is None:
        return (0.0, *[np.nan] * 5)
    spoken = whole.frames[voice.spoken]
    filmed = dict(zip(whole.frames.tolist(), whole.shape[:, 0].tolist(), strict=True))
    shown: dict[int, float] = {}
    shares = []
    for half in range(2):
        held = (times // HELD_SECONDS).astype(int) % 2 == half
        known = ~held & ~_repeats(sound, times, held)
        work = _new(folder / f"half{half}")
        inventories.learn(
            stream(),
            work,
            read=read,
            clear=lambda key, known=known: known[footage.paths[key[0]].frames[key[1]]],
        )
        at = np.searchsorted(times, np.arange(len(sound)) / 16_000, side="right") - 1
        taught = sound * known[np.clip(at, 0, len(times) - 1)]
        session = RewriteEngine().open(
            EngineContext(
                settings=RewriteEngine.spec.settings(offset_ms=round(-1000 * voice.offset_seconds)),
                scan=scan,
                person=person,
                frames=scan.frames,
                workspace=work,
                models=store,
                speech=Speech(samples=sound, lines=(SpeechLine(path="own"),), original=taught),
                footage=stream,
            )
        )
        wanted = set(np.flatnonzero(held)) & set(spoken.tolist())
        shown |= _shown(scan, footage, session, reader, wanted)
        session.close()
        shares.append((session.report()["own_voice"] or {"share": 0.0})["share"])
    frames = np.array([f for f in spoken if f in shown])
    shots = whole.shots[np.searchsorted(whole.frames, frames)]
    a, b = (_moves(np.array([opening[f] for f in frames]), shots) for opening in (filmed, shown))
    second = round(1.0 / float(np.median(np.diff(times))))
    luck = [np.corrcoef(a, np.roll(b, k))[0, 1] for k in range(second, len(a) - second)]
    r = float(np.corrcoef(a, b)[0, 1]), float(np.percentile(luck, 95))
    seconds = len(spoken) * float(np.median(np.diff(times)))
    return (seconds, voice.r[0], voice.table_r, *r, float(np.mean(shares)))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _shown(
    scan: Any, footage: Any, session: Any, reader: MouthReader, wanted: set[int]
) -> dict[int, float]:
    """The opening that is measured on the result, per frame."""
    out = {}
    with VideoReader(scan.video.path) as video:
        for frame in video.frames():
            i = frame.index
            requests = footage.requests(i, frame.picture, output_frame=i, time=footage.time_of(i))
            if i not in wanted or not requests or requests[0].mesh is None:
                continue
            result = session.process(requests)[0]
            if isinstance(result, FacePatch):
                composite(frame.picture, [result])
            x0, y0, x1, y1 = crop_region(
                requests[0].box, 0.75, frame.picture.width, frame.picture.height
            )
            mesh = reader.read(
                frame.picture.crop(x0, y0, x1, y1), requests[0].mesh - np.array([x0, y0, 0])
            )
            out[i] = float(mouth_features(in_head_frame(mesh))[0])
    return out


def _moves(opening: np.ndarray, shots: np.ndarray) -> np.ndarray:
    out = opening.copy()
    for shot in np.unique(shots):
        out[shots == shot] -= opening[shots == shot].mean()
    return out


def _repeats(sound: np.ndarray, times: np.ndarray, held: np.ndarray) -> np.ndarray:
    """(n,) the frames that are near a held-out one or to one that sounds the same."""
    levels = np.pad(band_levels(sound), ((10, 20), (0, 0)), mode="edge")
    columns = np.clip((times * 100).astype(int), 0, len(levels) - 31)
    around = np.concatenate([levels[columns + k] for k in range(0, 21, 2)], axis=1)
    same = held.copy()
    for i in np.flatnonzero(~held):
        same[i] = abs(around[held] - around[i]).mean(axis=1).min() < SAME_DB
    reach = max(1, round(GUARD_SECONDS / float(np.median(np.diff(times)))))
    return np.convolve(same, np.ones(2 * reach + 1), mode="same") > 0.5
