"""Disguised voices: whose they are taken for, and whether the words are still there.

    python benchmarks/voice_disguise.py MEDIA

Every recording is disguised anew several times.  CAM++ (`facepick models fetch speakers`) compares
the result with its owner and with everybody else; cosines of mean embeddings.  Words: the share
of the original's phones, silence left out, that our acoustic model hears again within 80 ms,
beside the share for the recording's own other half of the time, which is chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facepick.media.audio import read_mono
from facepick.models.catalog import CAM_PLUS_PLUS
from facepick.models.store import default_store
from facepick.speech import disguise
from facepick.speech.acoustic import PHONES, phone_scores
from facepick.speech.align import phone_posteriors
from facepick.speech.disguise import disguised, mask_for
from facepick.speech.speaker_embedding import WINDOW_SECONDS, SpeakerEmbedder
from facepick.speech.strangers import Strangers

Samples = npt.NDArray[np.float32]
RATE = 16_000
SECONDS = 7
TIMES = 2
NEAR = 8
RECORDINGS = (
    "en_jfk_m_11s_44k.flac", "en_katie_f_18s_16k.wav", "en_ljspeech_f_22k.wav",
    "en_latentsync3_19s_16k.wav", "en_radio_8s_16k_stereo.wav", "de_9s_48k24bit.wav",
    "en_two_speakers_30s_16k.wav",
)  # fmt: skip
"""The last holds two people, who are told apart by its RTTM."""
LENDERS = {
    "en_jfk_m_11s_44k": "John F. Kennedy", "en_katie_f_18s_16k": "katie",
    "en_ljspeech_f_22k": "LJ Speech", "en_latentsync3_19s_16k": "LatentSync",
}  # fmt: skip
"""Who lends a voice gets no sound of it back: without these four, nobody's own voice is known."""


def voices_of(folder: Path) -> dict[str, Samples]:
    """Read some seconds of each voice."""
    found: dict[str, Samples] = {}
    for name in RECORDINGS:
        samples = read_mono(folder / name, rate=RATE)
        turns = folder / name.replace(".wav", ".rttm")
        if name.endswith(".wav") and turns.is_file():
            for line in turns.read_text().splitlines():
                words = line.split()
                start, length = float(words[3]), float(words[4])
                part = samples[round(start * RATE) : round((start + length) * RATE)]
                key = f"{name[:6]}.. {words[7]}"
                found[key] = np.concatenate([found.get(key, part[:0]), part])
        else:
            found[name.split(".")[0]] = samples
    return {key: value[: SECONDS * RATE] for key, value in found.items()}


def without(known: Strangers, name: str) -> Strangers:
    """Take a voice out of those that are lent."""
    kept = [i for i, n in enumerate(known.names) if not n.startswith(name)]
    rows = np.isin(known.people, kept)
    return Strangers(
        numbers=known.numbers[rows],
        sounds=known.sounds[rows],
        people=np.searchsorted(kept, known.people[rows]).astype(np.uint8),
        means=known.means[kept],
        names=tuple(known.names[i] for i in kept),
    )


def embedded(network: SpeakerEmbedder, samples: Samples) -> Samples:
    """Embed a voice: the mean of windows that lie 0.75 s apart, of length 1."""
    size = round(WINDOW_SECONDS * RATE)
    starts = range(0, len(samples) - size + 1, size // 2)
    windows = [samples[i : i + size] for i in starts]
    loud = [w for w in windows if np.sqrt(np.mean(w**2)) > 0.01]
    mean = network.embed(np.stack(loud or windows)).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def heard_again(before: Samples, after: Samples) -> float:
    """Share of the phones of one that the other has within 80 ms."""
    own, other = (p.argmax(axis=1) for p in (before, after))
    count = min(len(own), len(other))
    silent = {PHONES.index("SIL"), 0, 1}
    hits = [
        own[i] in other[max(0, i - NEAR) : i + NEAR + 1]
        for i in range(count)
        if own[i] not in silent
    ]
    return float(np.mean(hits))


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("media", type=Path)
    parser.add_argument("--any", action="store_true", help="take the first mask drawn")
    options = parser.parse_args()
    network = SpeakerEmbedder(default_store().require(CAM_PLUS_PLUS))
    chooser = None if options.any else network.likeness
    voices = voices_of(options.media / "speech")
    known = {name: embedded(network, samples) for name, samples in voices.items()}
    random = np.random.default_rng()
    print("| voice | own halves | nearest other | disguised: owner | nearest | phones | chance |")
    print("|---|---|---|---|---|---|---|")
    nearer, below, all_phones = [], [], []
    lent = Strangers.load()
    for name, samples in voices.items():
        middle = len(samples) // 2
        halves = network.likeness(samples[:middle], samples[middle:], RATE)
        others = [known[n] for n in voices if n != name]
        phones = phone_posteriors(phone_scores(samples))
        owner, other, words = [], [], []
        lenders = without(lent, LENDERS[name]) if name in LENDERS else lent
        vars(disguise)["strangers"] = lambda lenders=lenders: lenders
        for number in range(TIMES):
            mask = mask_for(samples, RATE, random=random, likeness=chooser)
            changed = disguised(samples, RATE, mask, random=random)
            voice = embedded(network, changed)
            owner.append(float(voice @ known[name]))
            other.append(max(float(voice @ o) for o in others))
            if number == 0:
                words.append(heard_again(phones, phone_posteriors(phone_scores(changed))))
        nearer += [b > a for a, b in zip(owner, other, strict=True)]
        below += owner
        all_phones += words
        chance = heard_again(phones, np.roll(phones, len(phones) // 2, axis=0))
        print(
            f"| {name} | {halves:.2f} | "
            f"{max(float(known[name] @ o) for o in others):.2f} | {np.mean(owner):.2f} | "
            f"{np.mean(other):.2f} | {np.mean(words):.2f} | {chance:.2f} |"
        )
    print(
        f"\nOf {len(nearer)} disguised voices {sum(nearer)} are nearer to somebody else than to "
        f"their owner; nearest to an owner: {max(below):.2f}. Phones heard again: "
        f"{np.mean(all_phones):.2f}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
