"""What is heard in a result, and whether a mouth is shut under its own voice.

    python benchmarks/heard.py MEDIA [--work DIR] [--only sound|mouths] [--clips NAME ...]

`sound`: films with known sound (stereo at 48 and 44.1 kHz, mono, 5.1, one whose picture begins
late and one whose sound does) are rendered with two lines by an engine that changes nothing, into
MKV with FLAC and MOV with PCM.  Then, read back from the result:

    same     of the samples that must be the original's, or the file's, how many are
    step     the largest step from sample to sample within 25 ms of a line's ends over the largest
             one in the half second around; 1 or less is no click
    lag      of the result's sound against what it should be, on the container's clock, in ms

`mouths`: clips with people are rendered with a short line under every `--original`; a frame counts
as shut under its own voice when its mouth was closed while the original's voice is heard in the
result: the video's sound speaks there (silero VAD), and 40 ms of the result around it go with it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

FADE = 0.02
SECONDS = 6
LINES = ((1.0, 1.5), (3.7, 0.8))
MODES = ("replace", "duck", "keep", "mute")
CLIPS = ("dev_gt2", "latentsync_demo3")
SPEECH = "de_9s_48k24bit.wav"


def music(seconds: float, rate: int, channels: int, seed: int) -> np.ndarray:
    """Chords and noise as loud as a film's sound; other in every channel."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * rate)) / rate
    out = np.empty((len(at), channels))
    for c in range(channels):
        tones = sum(np.sin(2 * np.pi * f * at) for f in rng.uniform(80, 2000, 6))
        out[:, c] = 0.06 * tones + 0.03 * rng.standard_normal(len(at))
    return np.rint(np.clip(out, -1, 1) * 32767).astype(np.int16)


def whole(samples: np.ndarray) -> np.ndarray:
    """Float samples as whole numbers of 24 bits."""
    return np.rint(samples.astype(np.float64) * 2**23).astype(np.int64)


def lag_ms(heard: np.ndarray, wanted: np.ndarray, rate: int) -> float:
    """By how much `heard` comes after `wanted`, by cross-correlation."""
    size = 1 << (len(heard) + len(wanted)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size))
    peak = int(np.argmax(np.fft.irfft(product)))
    return 1000 * (peak - size if peak > size // 2 else peak) / rate


def clicks(made: np.ndarray, rate: int, ends: list[float]) -> float:
    """The largest step near a line's end over the largest one around it."""
    worst = 0.0
    for end in ends:
        at = round(end * rate)
        near = made[at - round(0.025 * rate) : at + round(0.025 * rate)]
        around = np.concatenate(
            [
                made[max(0, at - round(0.5 * rate)) : at - round(0.03 * rate)],
                made[at + round(0.03 * rate) : at + round(0.5 * rate)],
            ]
        )
        steps = np.abs(np.diff(near, axis=0)).max()
        worst = max(worst, float(steps) / max(1.0, float(np.abs(np.diff(around, axis=0)).max())))
    return worst


def sounds(media: Path, work: Path) -> None:
    """The table of sound."""
    from tests.films import scan_of_film, still_registry, written_film
    from tests.sounds import pcm_wav

    from facepick.media.audio import read_audio
    from facepick.media.encode import EncodeSettings
    from facepick.media.probe import probe
    from facepick.models.store import ModelStore
    from facepick.people.selection import Selection
    from facepick.render.plan import Assignment, OutputSettings, RenderPlan
    from facepick.render.renderer import Renderer
    from facepick.speech.line import SpeechLine

    speech = media / "speech" / "en_jfk_m_11s_44k.flac"
    lines = tuple(
        SpeechLine(path=str(speech), start_seconds=s, offset_seconds=0.5, duration_seconds=d)
        for s, d in LINES
    )
    films = {
        "stereo 48 kHz": (48_000, 2, Fraction(0), Fraction(0)),
        "stereo 44.1 kHz": (44_100, 2, Fraction(0), Fraction(0)),
        "mono 48 kHz": (48_000, 1, Fraction(0), Fraction(0)),
        "5.1 48 kHz": (48_000, 6, Fraction(0), Fraction(0)),
        "picture 0.6 s late": (48_000, 2, Fraction(3, 5), Fraction(0)),
        "sound 0.3 s late": (48_000, 2, Fraction(0), Fraction(3, 10)),
    }
    final = pcm_wav(work / "final.wav", music(SECONDS, 48_000, 2, 7), 48_000)
    stem = pcm_wav(work / "stem.wav", music(SECONDS, 48_000, 2, 8), 48_000)
    jobs: list[tuple[str, dict[str, Any]]] = [(m, {"original": m}) for m in MODES]
    jobs += [("soundtrack", {"soundtrack": str(final)}), ("background", {"background": str(stem)})]
    print(f"{'film':20} {'':5} {'what':10} {'compared':>9} {'same':>9} {'step':>6} {'lag ms':>7}")
    number = 0
    for name, (rate, channels, late, sound_late) in films.items():
        own = music(SECONDS, rate, channels, 1)
        film = written_film(
            work / f"film{number}.mov", own, rate=rate, frames=25 * SECONDS, late=late,
            sound_late=sound_late,
        )  # fmt: skip
        scan = scan_of_film(film)
        for suffix, codec in ((".mkv", "flac"), (".mov", "pcm")):
            for what, output in jobs:
                number += 1
                registry, _ = still_registry()
                plan = RenderPlan(
                    video=str(film),
                    assignments=(
                        Assignment(
                            selection=Selection(("P1",)),
                            flow="lipsync",
                            engine="still",
                            speech=lines,
                        ),
                    ),
                    encode=EncodeSettings(preset="ultrafast", audio_codec=codec),
                    output=OutputSettings(**output),
                )
                folder = work / f"job{number}"
                folder.mkdir()
                out = work / f"out{number}{suffix}"
                Renderer(
                    plan, scan, workspace=folder, registry=registry,
                    models=ModelStore([], work / "models"),
                ).run(out)  # fmt: skip
                brought = {"soundtrack": final, "background": stem}.get(what)
                kept = own if brought is None else music(SECONDS, 48_000, 2, 7 + (what[0] == "b"))
                begins = late if brought is not None else sound_late
                made, made_rate = read_audio(out, offset=begins)
                got = whole(made)[: len(kept)]
                wanted = kept.astype(np.int64) << 8
                at = np.arange(len(wanted)) / made_rate + float(begins - late)
                away = np.ones(len(wanted), bool)
                if what != "soundtrack":
                    for start, length in LINES:
                        away &= (at < start - FADE) | (at > start + length + FADE)
                if what == "mute":
                    wanted = np.zeros((len(got), got.shape[1]), np.int64)
                    at = np.arange(len(got)) / made_rate + float(begins - late)
                    away = np.ones(len(got), bool)
                    for start, length in LINES:
                        away &= (at < start - FADE) | (at > start + length + FADE)
                same = (got[away] == wanted[away]).all(axis=1)
                lag = (
                    0.0
                    if what == "mute"
                    else lag_ms(got[:, 0] * away, wanted[:, 0] * away, made_rate)
                )
                shift = float(late - begins)
                ends = [t + shift for s, d in LINES for t in (s, s + d)]
                picture = float(probe(out).start_seconds - probe(film).start_seconds)
                print(
                    f"{name:20} {suffix:5} {what:10} {len(same):9} {same.mean():9.2%} "
                    f"{clicks(got, made_rate, ends):6.2f} {lag + 1000 * picture:7.3f}",
                    flush=True,
                )
                out.unlink()


def mouths(media: Path, work: Path, clips: list[str], modes: list[str], *, lossy: bool) -> None:
    """The table of mouths."""
    from facepick.media.audio import read_mono
    from facepick.media.probe import probe
    from facepick.models.catalog import SILERO_VAD
    from facepick.models.store import default_store
    from facepick.speech.vad import speech_probability, speech_stretches

    vad = default_store(()).require(SILERO_VAD)
    print(
        f"{'clip':18} {'original':9} {'frames':>7} {'spoken':>7} {'closed':>7} "
        f"{'voice heard':>12} {'shut under it':>14}"
    )
    for clip in clips:
        video = media / "video" / f"{clip}.mp4"
        start = probe(video).start_seconds
        original = read_mono(video, align_to=start)
        talks = speech_stretches(speech_probability(original, model=vad))
        for mode in modes:
            out = work / f"{clip}-{mode}.mkv"
            command = [
                sys.executable, "-m", "facepick", "render", str(video), "-o", str(out), "--force",
                "--person", "P1", "--flow", "lipsync", "--audio", str(media / "speech" / SPEECH),
                "--audio-start", "1", "--original", mode, "--preset", "ultrafast",
                "--progress", "none",
            ]  # fmt: skip
            if not lossy:
                command += ["--audio-codec", "flac"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            report = json.loads(Path(f"{out}.facepick.json").read_text())
            made = read_mono(out, align_to=probe(out).start_seconds)
            heard = shut = closed = spoken = 0
            for row in report["frames"]:
                time = float(Fraction(row["time"]))
                (change,) = [c for c in row["changes"] if c["person"] == "P1"] or [{"done": False}]
                is_closed = bool(change["done"]) and str(change.get("note", "")).startswith(
                    "closed"
                )
                closed += is_closed
                spoken += bool(change["done"]) and not is_closed
                cut = slice(max(0, round((time - 0.02) * 16_000)), round((time + 0.02) * 16_000))
                a, b = original[cut], made[cut]
                n = min(len(a), len(b))
                power = np.sqrt((a[:n] ** 2).sum() * (b[:n] ** 2).sum())
                like = float((a[:n] * b[:n]).sum() / power) if power > 1e-6 else 0.0
                voice = like > 0.5 and any(s.start <= time <= s.stop for s in talks)
                heard += voice
                shut += voice and is_closed
            print(
                f"{clip:18} {mode:9} {len(report['frames']):7} {spoken:7} {closed:7} {heard:12} "
                f"{shut:14}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("--work", type=Path, help="keep everything there")
    parser.add_argument("--only", choices=("sound", "mouths"))
    parser.add_argument("--clips", nargs="+", default=list(CLIPS))
    parser.add_argument("--modes", nargs="+", default=list(MODES))
    parser.add_argument("--lossy", action="store_true", help="for versions without --audio-codec")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        if options.only != "mouths":
            sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
            with tempfile.TemporaryDirectory(dir=work) as films:
                sounds(options.media, Path(films))
        if options.only != "sound":
            mouths(options.media, work, options.clips, options.modes, lossy=options.lossy)


if __name__ == "__main__":
    main()
