"""Make the voices that `--voice disguise` borrows from, out of recordings that may be passed on.

python tools/make_strangers.py NAME=RECORDING ...
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from facepick.media.audio import read_mono
from facepick.speech.disguise import taken_apart
from facepick.speech.strangers import FILE, sounds_of

RATE = 16_000
SECONDS = 12
EVERY = 2
"""One moment in so many is kept: 10 ms."""


def main() -> None:
    """Write the file."""
    numbers, sounds, people, means, names = [], [], [], [], []
    for text in sys.argv[1:]:
        name, _, path = text.partition("=")
        speech = read_mono(Path(path), rate=RATE)[: SECONDS * RATE]
        own = taken_apart(speech, RATE).numbers
        heard, mean, loud = sounds_of(own, speech)
        kept = np.flatnonzero(loud)[::EVERY]
        numbers.append((own - mean)[kept].astype(np.float16))
        sounds.append(heard[kept].astype(np.float16))
        people.append(np.full(len(kept), len(names), np.uint8))
        means.append(mean)
        names.append(name)
    np.savez_compressed(
        FILE, numbers=np.concatenate(numbers), sounds=np.concatenate(sounds),
        people=np.concatenate(people), means=np.asarray(means, np.float32), names=np.array(names),
    )  # fmt: skip


if __name__ == "__main__":
    main()
