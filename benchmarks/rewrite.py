"""How well `rewrite` speaks: the figures behind docs/rewrite.md.

    python benchmarks/rewrite.py [--media DIR] [--only CLIP:PERSON ...] [--sheets DIR] [--targets]
                                 [--cache DIR] [--jobs N]

Each person of the clips that are cleared for synthesis is re-synced to speech whose words are
known; then the mouth is read off the *result* and compared with what the words ask for.  Clip and
result are read in the same way, by `MouthReader`: the mesh network's mean answer for three cuts of
one picture, because one answer depends on the cut (by 0.006 to 0.010 eye distances; for one of
these people two answers for the same picture agree at r 0.86).  What is read is smoothed over
three frames by .2, .6, .2, the clip as the result.
A row for each of

* ``words``: the engine was given the words;
* ``phones``: it was given the true phones with their times;
* ``sound``: it was given the sound alone;
* ``wrong``: it was given another speech, scored against this one: what chance looks like.

asked      r of what the engine wants, before a mouth is chosen, over the same frames
r          correlation of the measured opening with the opening that the phones ask for
lag        shift in ms at which r is largest (positive: the mouth is late)
d_closed   the next for what the engine wants
closed     share of "p", "b", "m" in which the measured opening falls among its lowest fifth
chance     the same for windows of equal length anywhere in the speech
jitter     mean second difference of the opening, as a ratio to the input's
moved      mean change of the mouth's opening from frame to frame while it speaks, as a ratio to the
           person's own in all of the clip
still      the same where it moves least: tenth percentile of the deviations over 0.8 s of speech
sharp      Laplacian variance of the mouth, median ratio to the input's
written    share of the frame with alpha above 0
ms         CPU time of `process` per face; of the listening per second of speech with --targets
moves      mean second difference of the asked opening over its deviation; of people 0.3 to 0.5
outside    largest difference of a luma sample outside the alpha

With ``--targets`` no video is made: what the engine asks of the lips is scored itself, which tells
a miss of the listening half from one of the drawing half.

With ``--own`` people are re-synced to their own speech instead: see ``rewrite_own.py``.

Times of the phones come from the aligner of pocketsphinx with its triphones (``pip install
pocketsphinx``), which shares no code with ours; synthetic voices tell themselves when they say
which phone (programs ``flite``, voices made from recordings of one speaker, and ``espeak-ng``,
with its library; its stops begin where the sound is shut, see `with_closures`).  The openings are
those of the engine's table for either.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bars import Bars

from facepick.compositing.compositor import composite
from facepick.compositing.patch import FacePatch
from facepick.engines.engine import EngineContext
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
from facepick.speech.acoustic import PHONES
from facepick.speech.align import CLOSED, INDEX, SILENCE, phones_of_ipa
from facepick.speech.line import Speech, SpeechLine, Timed, Timings
from facepick.speech.visemes import curves_of, lips_of, sampled

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
_BROTHER = (
    "my brother peter bought a big map of the museum but the people by the bridge believed "
    "him maybe we may meet them in the market before summer"
)
_PUMPKIN = (
    "please bring me a pumpkin some butter and a bowl of milk we hope to bake a proper apple "
    "pie but the boy may prefer jam"
)
# name: program, voice, language, text
SAID = {
    "voice1": ("espeak-ng", "en-us", "en-us", _BROTHER),
    "voice2": ("espeak-ng", "en-us+f3", "en-us", _PUMPKIN),
    "rms": ("flite", "rms", "en-us", _BROTHER),
    "slt": ("flite", "slt", "en-us", _PUMPKIN),
    "german": (
        "espeak-ng", "de", "de",
        "Peter möchte morgen mit seinem Bruder zum Bahnhof fahren, aber der Bus kommt immer zu "
        "spät, und die Mutter beobachtet den Bäcker beim Putzen der Inventory.",
    ),
    "chinese": (
        "espeak-ng", "cmn-latn-pinyin", "cmn",
        "我妈妈明天早上八点坐飞机去北京,爸爸不明白为什么她买了那么贵的票。",
    ),
}  # fmt: skip
DEFAULT_SPEECH = [*KNOWN, "voice1", "rms"]


@dataclass(frozen=True, eq=False)
class Utterance:
    """Speech with its true phones: (phone, start, stop) in columns of 10 ms."""

    name: str
    samples: np.ndarray
    text: str
    language: str
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
        found.append(Utterance(name, samples, text, "en-us", _independent(samples, text)))
    for name, (program, voice, language, text) in SAID.items():
        if shutil.which(program):
            wav = folder / f"{name}.wav"
            phones = (_flite if program == "flite" else _espeak)(voice, text, wav)
            samples = read_mono(wav)
            if program == "espeak-ng":
                phones = with_closures(phones, samples)
            found.append(Utterance(name, samples, text, language, phones))
    return found


# flite's names of phones that are not ARPAbet's.
_FLITE = {"pau": "SIL", "ssil": "SIL", "ax": "AH", "axr": "ER", "el": "L", "em": "M", "en": "N"}


def _flite(voice: str, text: str, wav: Path) -> list[tuple[int, int, int]]:
    said = subprocess.run(
        ["flite", "-voice", voice, "-t", text, "-o", wav, "-psdur"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    names, ends = zip(*(token.split(":") for token in said.split()), strict=True)
    edges = [0, *(round(100 * float(end)) for end in ends)]
    phones = [INDEX[_FLITE.get(n, n.upper())] for n in names]
    return list(zip(phones, edges[:-1], edges[1:], strict=True))


class _Event(ctypes.Structure):
    """espeak_EVENT of its speak_lib.h; `name` is the phone in IPA."""

    _fields_ = (
        ("type", ctypes.c_int), ("id", ctypes.c_uint), ("text", ctypes.c_int),
        ("length", ctypes.c_int), ("ms", ctypes.c_int), ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8),
    )  # fmt: skip


def _espeak(voice: str, text: str, wav: Path) -> list[tuple[int, int, int]]:
    import wave

    library = ctypes.CDLL("libespeak-ng.so.1")
    rate = library.espeak_Initialize(2, 0, None, 1 | 2)  # to a callback; phones as events, in IPA
    sound: list[bytes] = []
    events: list[tuple[float, str]] = []

    def heard(data: Any, count: int, event: Any) -> int:
        if data and count > 0:
            sound.append(ctypes.string_at(data, 2 * count))
        k = 0
        while event[k].type != 0:
            if event[k].type == 7:
                events.append((event[k].ms / 10, event[k].name.decode("utf-8", "ignore")))
            k += 1
        return 0

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
    callback = kind(heard)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        raise SystemExit(f"espeak-ng has no voice {voice}")
    library.espeak_SetParameter(1, 150, 0)  # words a minute
    data = text.encode()
    library.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
    pcm = b"".join(sound)
    with wave.open(str(wav), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(pcm)
    stops = [start for start, _ in events[1:]] + [len(pcm) / 2 / rate * 100]
    out = []
    for (start, name), stop in zip(events, stops, strict=True):
        parts = phones_of_ipa(name) or (SILENCE,)
        edges = np.linspace(start, stop, len(parts) + 1).round().astype(int).tolist()
        out += [(p, a, b) for p, a, b in zip(parts, edges[:-1], edges[1:], strict=True) if b > a]
    return out


# How far the level falls in the pause before the burst: voiced stops hum in their own time.
_DROP_DB = dict.fromkeys(("P", "T", "K", "CH"), 18) | dict.fromkeys(("B", "D", "G", "JH"), 30)
_LONGEST_CLOSURE = 8
"""Columns, 80 ms, of a pause before a stop in which the mouth is taken to be shut already."""


def with_closures(
    phones: list[tuple[int, int, int]], samples: np.ndarray
) -> list[tuple[int, int, int]]:
    """espeak-ng's phones, its stops from where the mouth shuts instead of where it bursts open.

    `Generate` of espeak-ng's synthesize.c writes the pause that is a stop's closure *before* the
    event of the stop, so by its events the vowel before lasts through a silence of 40 to 60 ms.
    That pause is given to the stop, at most 80 ms of it.
    """
    blocks = np.abs(samples[: len(samples) // 80 * 80]).reshape(-1, 80).max(axis=1)
    level = 20 * np.log10(blocks + 1e-5)  # 5 ms a block, two to a column
    out: list[tuple[int, int, int]] = []
    for phone, start, stop in phones:
        drop = _DROP_DB.get(PHONES[phone])
        if drop is not None and out and 2 * start < len(level):
            before = level[max(0, 2 * start - 40) : 2 * start].max()
            quiet = level < before - drop
            # The burst is within 20 ms of its event; before it, it is quietest.
            first = max(0, 2 * start - 4)
            at = first + int(level[first : 2 * start + 5].argmin())
            if quiet[at]:
                while at > 0 and quiet[at - 1]:
                    at -= 1
                last, began, _ = out[-1]
                start = max(min(start, round(at / 2)), start - _LONGEST_CLOSURE, began + 1)
                out[-1] = (last, began, start)
        out.append((phone, start, stop))
    return out


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


def line_of(said: Utterance, mode: str) -> SpeechLine:
    """The utterance with as much of what is known as `mode` gives to the engine."""
    phones = [Timed(a / 100, b / 100, PHONES[p]) for p, a, b in said.phones if b > a]
    return SpeechLine(
        path=said.name,
        text=said.text if mode == "words" else None,
        phones=Timings(phones=tuple(phones)) if mode == "phones" else None,
    )


@dataclass(frozen=True, eq=False)
class Filmed:
    """A person of a clip, ready to be re-synced.

    Attributes:
        name: ``CLIP:PERSON``.
        folder: holds the meshes of the footage.
        learned: a folder with the person's mouths.
        opening: (frames,) read off the clip, NaN where the person is not seen.
    """

    name: str
    scan: Any
    person: Any
    folder: Path
    learned: Path
    opening: np.ndarray

    def times(self) -> np.ndarray:
        pts = self.scan.pts
        return (pts - pts[0]).astype(float) * float(self.scan.video.time_base)

    def footage(self) -> PersonFootage:
        found = PersonFootage(self.scan, self.person, RewriteEngine.spec, self.folder)
        mesher = FaceMesh(default_store())

        def locate(picture: Any, state: Any, near: Any) -> Any:
            x0, y0, x1, y1 = crop_region(state.box, 0.75, picture.width, picture.height)
            return mesher.locate(picture.crop(x0, y0, x1, y1), state.landmarks5, (x0, y0))

        found.prepare(locate, frames=(0, self.scan.frames), progress=no_progress, cancel=never)
        return found


def _region(box: Any, width: int, height: int) -> tuple[slice, slice, np.ndarray]:
    """Rows and columns around a face, and what to take off a mesh to be in them."""
    x0, y0, x1, y1 = crop_region(box, 0.75, width, height)
    return slice(y0, y1), slice(x0, x1), np.array([x0, y0, 0], np.float32)


def film(name: str, media: Path, cache: Path, folder: Path) -> Filmed:
    """Finds a person, learns the mouths and reads every frame of the clip."""
    cv2.setNumThreads(1)
    clip, person_id = name.split(":")
    store = default_store()
    scan = find_people(media / "video" / f"{clip}.mp4", models=store, cache=cache / "scan")
    kept, learned = cache / name.replace(":", "_"), folder / name.replace(":", "_")
    kept.mkdir(parents=True, exist_ok=True)
    learned.mkdir(parents=True)
    opening = np.full(scan.frames, np.nan)
    filmed = Filmed(name, scan, scan.person(person_id), kept, learned, opening)
    footage, reader = filmed.footage(), MouthReader(store)
    # A speech of silence: the mouths are learned, none is shown.
    line = SpeechLine(path="silence", text=None)
    silence = Speech(samples=np.zeros(16_000, np.float32), lines=(line,), original=None)
    _opened(filmed, footage, learned, silence, "en-us").close()
    with VideoReader(scan.video.path) as video:
        for frame in video.frames():
            i, picture = frame.index, frame.picture
            for request in footage.requests(i, picture, output_frame=i, time=footage.time_of(i))[
                :1
            ]:
                if request.mesh is not None:
                    rows, columns, origin = _region(request.box, picture.width, picture.height)
                    part = picture.crop(columns.start, rows.start, columns.stop, rows.stop)
                    mesh = reader.read(part, request.mesh - origin)
                    opening[i] = mouth_features(in_head_frame(mesh))[0]
    return filmed


def _opened(
    filmed: Filmed, footage: PersonFootage, workspace: Path, speech: Speech, language: str
) -> Any:
    return RewriteEngine().open(
        EngineContext(
            settings=RewriteEngine.spec.settings(language=language),
            scan=filmed.scan,
            person=filmed.person,
            frames=filmed.scan.frames,
            workspace=workspace,
            models=default_store(),
            speech=speech,
            footage=lambda: footage.stream((0, filmed.scan.frames), never),
        )
    )


def run(
    filmed: Filmed, said: Utterance, samples: np.ndarray, mode: str, folder: Path,
    sheet: Path | None,
) -> dict[str, Any]:  # fmt: skip
    """One person re-synced and measured."""
    cv2.setNumThreads(1)
    store = default_store()
    mouths = MouthReader(store)
    scan, times, footage = filmed.scan, filmed.times(), filmed.footage()
    stop = int(np.searchsorted(times, len(samples) / 16_000))
    workspace = folder / f"{filmed.learned.name}_{said.name}_{mode}"
    workspace.mkdir()
    for file in filmed.learned.iterdir():
        os.link(file, workspace / file.name)
    speech = Speech(
        samples=samples,
        lines=(line_of(said, mode),),
        original=read_mono(scan.video.path, align_to=scan.video.start_seconds),
    )
    session = _opened(filmed, footage, workspace, speech, said.language)
    before = filmed.opening[:stop]
    after = before.copy()
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
            if request.mesh is None or not isinstance(result, FacePatch):
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
            rows, columns, origin = _region(request.box, a.shape[1], a.shape[0])
            mesh = mouths.read(np.ascontiguousarray(b[rows, columns]), request.mesh - origin)
            after[i] = mouth_features(in_head_frame(mesh))[0]
            if sheet is not None and i % 10 == 0:
                tiles.append(_tile(a, b, request.box, f"{i} {result.note}"))
    session.close()
    shutil.rmtree(workspace)
    if sheet is not None and tiles:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
        rows_ = [np.hstack(tiles[k : k + 4]) for k in range(0, len(tiles), 4)]
        cv2.imwrite(str(sheet), np.vstack(rows_))

    before, after = _smooth(before), _smooth(after)
    asked = _smooth(sampled(curves_of(speech, language=said.language).opening, times[:stop]))
    speaking = sampled(said.one_hot()[:, SILENCE], times[:stop]) < 0.5
    own = _smooth(filmed.opening)
    talking = talks(own)
    wanted = scores(np.where(np.isnan(before), np.nan, asked), times[:stop], said)
    row = scores(after, times[:stop], said)
    row |= {
        "asked": wanted["r"],
        "d_closed": wanted["closed"],
        "jitter": float(
            np.nanmean(np.abs(np.diff(after, 2))) / np.nanmean(np.abs(np.diff(before, 2)))
        ),
        "moved": moved(after, speaking) / moved(own, talking),
        "still": stillest(after, speaking) / stillest(own, talking),
        "sharp": float(np.median(sharp)),
        "written": float(100 * np.mean(written)),
        "ms": float(1000 * np.mean(spent)),
        "outside": outside,
    }
    return row | {"report": session.report()}


def _smooth(opening: np.ndarray) -> np.ndarray:
    """Over the frame before, the frame and the one after."""
    out = opening.copy()
    out[1:-1] = 0.2 * opening[:-2] + 0.6 * opening[1:-1] + 0.2 * opening[2:]
    return np.where(np.isnan(out), opening, out)


WINDOW = 20
"""Frames, 0.8 s, over which a mouth is held to rest or to talk."""
TALKS = 0.01
"""Deviation of the opening over a window, in eye distances: talkers mostly surpass 0.014."""


def talks(opening: np.ndarray) -> np.ndarray:
    """Whether the person talks in each frame: the opening varies as a talker's does."""
    out = np.zeros(len(opening), bool)
    for start in range(len(opening) - WINDOW + 1):
        if np.std(opening[start : start + WINDOW]) > TALKS:
            out[start : start + WINDOW] = True
    return out


def moved(opening: np.ndarray, among: np.ndarray) -> float:
    """Mean change of the opening between frames that are both `among` what counts."""
    both = among[1:] & among[:-1]
    return float(np.nanmean(np.abs(np.diff(opening))[both]))


def stillest(opening: np.ndarray, among: np.ndarray) -> float:
    """Tenth percentile of the opening's deviation over windows that lie in `among`."""
    windows = [slice(i, i + WINDOW) for i in range(0, len(opening) - WINDOW + 1, 5)]
    found = [np.std(opening[w]) for w in windows if among[w].mean() >= 0.9]
    found = [value for value in found if np.isfinite(value)]
    return float(np.percentile(found, 10)) if found else float("nan")


def target_row(said: Utterance, samples: np.ndarray, mode: str) -> dict[str, float]:
    """Scores of what is asked of the lips, at 25 frames a second."""
    line = line_of(said, mode)
    started = time.process_time()
    curves = curves_of(Speech(samples=samples, lines=(line,)), language=said.language)
    spent = (time.process_time() - started) / (len(samples) / 16_000)
    seconds = np.arange(0, len(samples) / 16_000 - 0.04, 0.04)
    asked = _smooth(sampled(curves.opening, seconds))
    row = scores(asked, seconds, said)
    return row | {"moves": float(np.abs(np.diff(asked, 2)).mean() / asked.std()), "ms": 1e3 * spent}


def _tile(before: np.ndarray, after: np.ndarray, box: Any, text: str) -> np.ndarray:
    x0, y0, x1, y1 = crop_region(box, 0.15, before.shape[1], before.shape[0])
    both = [cv2.resize(p[y0:y1, x0:x1], (240, 290)) for p in (before, after)]
    tile = np.hstack(both)
    cv2.putText(tile, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 255, 255), 1)
    return tile


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--only", nargs="*", default=["dev_gt2:P1", "dev_gt2:P2",
                                                      "latentsync_demo3:P1"])  # fmt: skip
    parser.add_argument("--speech", nargs="*", default=DEFAULT_SPEECH, choices=[*KNOWN, *SAID])
    parser.add_argument("--modes", nargs="*", default=["words", "sound", "wrong"])
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("--cache", type=Path, help="keeps scans and meshes of the clips")
    parser.add_argument("--jobs", type=int, default=1, help="rows that are made at the same time")
    parser.add_argument("--own", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.own:
        import rewrite_own

        rewrite_own.table(options.media, options.only)
        return 0
    columns: tuple[str, ...] = (
        "asked", "r", "lag", "d_closed", "closed", "chance", "jitter", "moved", "still", "sharp",
        "written", "ms", "outside",
    )  # fmt: skip
    if options.targets:
        columns = ("r", "lag", "closed", "chance", "moves", "ms")
        options.only = ["target:"]
    print(f"{'person':22}{'speech':10}{'given':7}" + "".join(f"{c[-8:]:>9}" for c in columns))
    table: dict[str, list[dict[str, Any]]] = {}
    pool = ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn"))
    with tempfile.TemporaryDirectory() as temporary, pool:
        folder = Path(temporary)
        if options.sheets is not None:
            options.sheets.mkdir(parents=True, exist_ok=True)
        said = {u.name: u for u in utterances(options.media, folder)}
        filmed: dict[str, Any] = {}
        if not options.targets:
            cache = options.cache or folder / "cache"
            # One after the other: people of one clip share its scan.
            for name in options.only:
                filmed[name] = pool.submit(film, name, options.media, cache, folder).result()
        rows = []
        for name in options.only:
            for speech in options.speech:
                for mode in options.modes:
                    given = said[speech].samples
                    if mode == "wrong":
                        other = said["jfk" if speech != "jfk" else "ljspeech"]
                        given = np.resize(other.samples, len(given))
                    sheet = None
                    if options.sheets is not None and mode == "words":
                        sheet = options.sheets / f"{name.replace(':', '_')}_{speech}.png"
                    if options.targets:
                        made = pool.submit(target_row, said[speech], given, mode)
                    else:
                        made = pool.submit(
                            run, filmed[name], said[speech], given, mode, folder, sheet
                        )
                    rows.append((name, speech, mode, made))
        for name, speech, mode, made in rows:
            row = made.result()
            table.setdefault(mode, []).append(row)
            print(f"{name:22}{speech:10}{mode:7}" + _cells(row, columns), flush=True)
            if "report" in row and (speech, mode) == (options.speech[-1], options.modes[-1]):
                print(f"{name}: {row['report']}")
    bars = Bars("rewrite")
    for mode, made_rows in table.items():
        mean = {c: float(np.mean([r[c] for r in made_rows])) for c in columns}
        print(f"{'mean':22}{'':10}{mode:7}" + _cells(mean, columns))
        bars.judge(mode, mean)
    return bars.outcome()


def _cells(row: dict[str, Any], columns: tuple[str, ...]) -> str:
    return "".join(f"{row[c]:9.0f}" if c in ("lag", "outside") else f"{row[c]:9.2f}"
                   for c in columns)  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
