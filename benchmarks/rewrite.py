"""How well `rewrite` speaks: the figures behind docs/rewrite.md.

    python benchmarks/rewrite.py [--media DIR] [--only CLIP:PERSON ...] [--sheets DIR]

Each person of the clips that are cleared for synthesis is re-synced to speech whose words are
known; then the mesh is located again on the *result*, and its mouth is compared with what the
words ask for.  A row for each of

* ``words``: the engine was given the words;
* ``sound``: it was given the sound alone;
* ``wrong``: it was given another speech, scored against this one: what chance looks like.

r          correlation of the measured opening with the opening that the phones ask for
lag        shift in ms at which r is largest (positive: the mouth is late)
closed     share of "p", "b", "m" in which the measured opening falls among its lowest fifth
chance     the same for windows of equal length anywhere in the speech
jitter     mean second difference of the opening, as a ratio to the input's
sharp      Laplacian variance of the mouth, median ratio to the input's
written    share of the frame with alpha above 0
ms         CPU time of `process` per face
outside    largest difference of a luma sample outside the alpha

Times of the phones come from the aligner of pocketsphinx with its triphones (``pip install
pocketsphinx``), which shares no code with ours; for the synthetic voices, on which that aligner
fails, from our own alignment.  The openings are those of the engine's table for either.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facepick.compositing.compositor import composite
from facepick.compositing.patch import FacePatch
from facepick.engines.engine import EngineContext, Speech, SpeechLine
from facepick.engines.lipsync.rewrite.acoustic import PHONES, phone_scores
from facepick.engines.lipsync.rewrite.engine import RewriteEngine
from facepick.engines.lipsync.rewrite.features import in_head_frame, mouth_features
from facepick.engines.lipsync.rewrite.phones import CLOSED, INDEX, SILENCE, align, pronounce
from facepick.engines.lipsync.rewrite.targets import lips_of, sampled
from facepick.faces.mesh import FaceMesh
from facepick.media.audio import read_mono
from facepick.media.reader import VideoReader
from facepick.models.store import default_store
from facepick.people.finder import find_people
from facepick.progress import never, no_progress
from facepick.render.footage import PersonFootage, crop_region

KNOWN = {
    "ljspeech": (
        "en_ljspeech_f_22k.wav",
        "unless a system is established for the frequent formal review of activities thereunder "
        "in this regard",
    ),
    "jfk": (
        "en_jfk_m_11s_44k.flac",
        "and so my fellow americans ask not what your country can do for you ask what you can do "
        "for your country",
    ),
}
# Three "p", "b", "m" a second, twice what people say: closures are counted here.
SAID = {
    "voice1": (
        "en-us",
        "my brother peter bought a big map of the museum but the people by the bridge believed "
        "him maybe we may meet them in the market before summer",
    ),
    "voice2": (
        "en-us+f3",
        "please bring me a pumpkin some butter and a bowl of milk we hope to bake a proper apple "
        "pie but the boy may prefer jam",
    ),
}


@dataclass(frozen=True, eq=False)
class Utterance:
    """Speech with its true phones: (phone, start, stop) in columns of 10 ms."""

    name: str
    samples: np.ndarray
    text: str
    phones: list[tuple[int, int, int]]

    def opening(self) -> np.ndarray:
        return lips_of(self.one_hot())[0]

    def one_hot(self) -> np.ndarray:
        columns = -(-len(self.samples) // 160)
        out = np.zeros((columns, len(PHONES)), np.float32)
        out[:, SILENCE] = 1
        for phone, start, stop in self.phones:
            out[start:stop] = np.eye(len(PHONES), dtype=np.float32)[phone]
        return out


def utterances(media: Path, folder: Path) -> list[Utterance]:
    found = []
    for name, (file, text) in KNOWN.items():
        samples = read_mono(media / "speech" / file)
        found.append(Utterance(name, samples, text, _independent(samples, text)))
    if shutil.which("espeak-ng"):
        for name, (voice, text) in SAID.items():
            wav = folder / f"{name}.wav"
            subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", wav, text], check=True)
            samples = read_mono(wav)
            said = pronounce(text)
            assert said is not None
            times = align(phone_scores(samples), said.words)
            assert times is not None
            phones = list(zip(times.phones, times.start, times.stop, strict=True))
            found.append(Utterance(name, samples, text, phones))
    return found


def _independent(samples: np.ndarray, text: str) -> list[tuple[int, int, int]]:
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL", lm=None)
    decoder.add_word("thereunder", "DH EH R AH N D ER", True)
    decoder.set_align_text(text)
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    for first in (True, False):
        if not first:
            decoder.set_alignment()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
    # Its columns begin where their window does, half a window before ours.
    return [
        (INDEX.get(p.name, SILENCE), p.start + 1, p.start + p.duration + 1)
        for word in decoder.get_alignment()
        for p in word
    ]


def scores(measured: np.ndarray, seconds: np.ndarray, said: Utterance) -> dict[str, float]:
    """r, lag, closures and chance of a measured opening, one value per frame."""
    asked = said.opening()
    keep = np.isfinite(measured) & (seconds < len(asked) * 0.01)
    measured, seconds = measured[keep], seconds[keep]
    lags = np.arange(-200, 201, 20)
    fits = [np.corrcoef(sampled(asked, seconds - x / 1000), measured)[0, 1] for x in lags]
    speaking = sampled(said.one_hot()[:, SILENCE], seconds) < 0.5
    low = measured <= np.percentile(measured[speaking], 20)
    windows = [(a * 0.01, b * 0.01) for p, a, b in said.phones if PHONES[p] in CLOSED]

    def closed(start: float, stop: float) -> bool | None:
        inside = (seconds > start - 0.03) & (seconds < stop + 0.03)
        return bool(low[inside].any()) if inside.any() else None

    hits = [h for a, b in windows if (h := closed(a, b)) is not None]
    places = seconds[speaking][:: max(1, int(speaking.sum()) // 60)]
    luck = [h for a, b in windows for s in places if (h := closed(s, s + b - a)) is not None]
    return {
        "r": float(fits[len(lags) // 2]),
        "lag": float(lags[int(np.argmax(fits))]),
        "closed": float(np.mean(hits)),
        "chance": float(np.mean(luck)),
    }


def run(
    scan: Any, person: Any, said: Utterance, samples: np.ndarray, words: bool, folder: Path,
    sheet: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """One person re-synced and measured."""
    store = default_store()
    mesher = FaceMesh(store)
    engine = RewriteEngine()
    base = scan.video.time_base
    times = (scan.pts - scan.pts[0]).astype(float) * float(base)
    stop = int(np.searchsorted(times, len(samples) / 16_000))
    footage = PersonFootage(scan, person, engine.spec, folder)

    def locate(picture: Any, state: Any) -> Any:
        x0, y0, x1, y1 = crop_region(state.box, 0.75, picture.width, picture.height)
        return mesher.locate(picture.crop(x0, y0, x1, y1), state.landmarks5, (x0, y0))

    footage.prepare(locate, frames=(0, scan.frames), progress=no_progress, cancel=never)
    line = SpeechLine(path=said.name, text=said.text if words else None)
    original = read_mono(scan.video.path, align_to=scan.video.start_seconds)
    session = engine.open(
        EngineContext(
            settings=engine.spec.settings(),
            video=scan.video,
            scan=scan,
            person=person,
            frames=scan.frames,
            workspace=folder,
            models=store,
            speech=Speech(samples=samples, lines=(line,), original=original),
            footage=lambda: footage.stream((0, scan.frames), never),
        )
    )
    before = np.full(stop, np.nan)
    after = np.full(stop, np.nan)
    sharp, written, spent, outside, tiles = [], [], [], 0, []
    with VideoReader(scan.video.path) as reader:
        for frame in reader.frames():
            i = frame.index
            if i >= stop:
                break
            requests = footage.requests(i, frame.picture, output_frame=i, time=footage.time_of(i))
            if not requests:
                continue
            request = requests[0]
            started = time.process_time()
            result = session.process([request])[0]
            spent.append(time.process_time() - started)
            if request.mesh is None:
                continue
            before[i] = mouth_features(in_head_frame(request.mesh))[0]
            if not isinstance(result, FacePatch):
                after[i] = before[i]
                continue
            original_picture = frame.picture.copy()
            composite(frame.picture, [result])
            a, b = original_picture.bgr(), frame.picture.bgr()
            alpha = np.zeros(a.shape[:2], bool)
            x, y = result.origin
            h, w = result.alpha.shape
            alpha[y : y + h, x : x + w] = result.alpha > 0
            luma = [p.to_av().to_ndarray()[: a.shape[0]] for p in (original_picture, frame.picture)]
            outside = max(outside, int(cv2.absdiff(*luma)[~alpha].max(initial=0)))
            written.append(alpha.mean())
            unit = float(np.hypot(*(request.mesh[263, :2] - request.mesh[33, :2])))
            cx, cy = (request.mesh[61, :2] + request.mesh[291, :2]) / 2
            rows = slice(max(0, int(cy - 0.3 * unit)), int(cy + 0.35 * unit))
            columns = slice(max(0, int(cx - 0.35 * unit)), int(cx + 0.35 * unit))
            pair = [
                cv2.Laplacian(cv2.cvtColor(p[rows, columns], cv2.COLOR_BGR2GRAY), cv2.CV_32F).var()
                for p in (a, b)
            ]
            sharp.append(pair[1] / max(pair[0], 1.0))
            x0, y0, x1, y1 = crop_region(request.box, 0.75, a.shape[1], a.shape[0])
            mesh, _ = mesher.locate(
                np.ascontiguousarray(b[y0:y1, x0:x1]), request.landmarks5, (x0, y0)
            )
            after[i] = mouth_features(in_head_frame(mesh))[0]
            if sheet is not None and i % 10 == 0:
                tiles.append(_tile(a, b, request.box, f"{i} {result.note}"))
    session.close()
    if sheet is not None and tiles:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
        rows_ = [np.hstack(tiles[k : k + 4]) for k in range(0, len(tiles), 4)]
        cv2.imwrite(str(sheet), np.vstack(rows_))

    # The input's meshes are smoothed over time, so the measured ones are too.
    smooth = after.copy()
    smooth[1:-1] = 0.2 * after[:-2] + 0.6 * after[1:-1] + 0.2 * after[2:]
    smooth = np.where(np.isnan(smooth), after, smooth)
    row = scores(smooth, times[:stop], said)
    row |= {
        "jitter": float(
            np.nanmean(np.abs(np.diff(smooth, 2))) / np.nanmean(np.abs(np.diff(before, 2)))
        ),
        "sharp": float(np.median(sharp)),
        "written": float(100 * np.mean(written)),
        "ms": float(1000 * np.mean(spent)),
        "outside": outside,
    }
    return row | {"report": session.report()}


def _tile(before: np.ndarray, after: np.ndarray, box: Any, text: str) -> np.ndarray:
    x0, y0, x1, y1 = crop_region(box, 0.15, before.shape[1], before.shape[0])
    both = [cv2.resize(p[y0:y1, x0:x1], (240, 290)) for p in (before, after)]
    tile = np.hstack(both)
    cv2.putText(tile, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 255, 255), 1)
    return tile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--only", nargs="*", default=["dev_gt2:P1", "dev_gt2:P2",
                                                      "latentsync_demo3:P1"])  # fmt: skip
    parser.add_argument("--speech", nargs="*", default=[*KNOWN, *SAID])
    parser.add_argument("--modes", nargs="*", default=["words", "sound", "wrong"])
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    columns = ("r", "lag", "closed", "chance", "jitter", "sharp", "written", "ms", "outside")
    print(f"{'person':22}{'speech':10}{'given':7}" + "".join(f"{c:>9}" for c in columns))
    table: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        said = {u.name: u for u in utterances(options.media, folder)}
        for name in options.only:
            clip, person_id = name.split(":")
            video = options.media / "video" / f"{clip}.mp4"
            scan = find_people(video, models=default_store(), cache=folder / "scan")
            person = scan.person(person_id)
            work = folder / name.replace(":", "_")
            work.mkdir()
            for speech in options.speech:
                for mode in options.modes:
                    given = said[speech].samples
                    if mode == "wrong":
                        other = said["jfk" if speech != "jfk" else "ljspeech"]
                        given = np.resize(other.samples, len(given))
                    sheet = None
                    if options.sheets is not None and mode == "words":
                        options.sheets.mkdir(parents=True, exist_ok=True)
                        sheet = options.sheets / f"{clip}_{person_id}_{speech}.png"
                    row = run(scan, person, said[speech], given, mode == "words", work, sheet)
                    table.setdefault(mode, []).append(row)
                    print(f"{name:22}{speech:10}{mode:7}" + _cells(row, columns), flush=True)
            print(f"{name}: {row['report']}")
    for mode, rows in table.items():
        mean = {c: float(np.mean([r[c] for r in rows])) for c in columns}
        print(f"{'mean':22}{'':10}{mode:7}" + _cells(mean, columns))


def _cells(row: dict[str, Any], columns: tuple[str, ...]) -> str:
    return "".join(f"{row[c]:9.0f}" if c in ("lag", "outside") else f"{row[c]:9.2f}"
                   for c in columns)  # fmt: skip


if __name__ == "__main__":
    main()
