"""What a neural lip sync costs beside its network.

    python benchmarks/lipsync.py [--media DIR] [--clip NAME] [--frames N] [--threads N]

Runs the engine on real faces with a stand-in checkpoint (the public network's layout, seeded
numbers: speed only) and prints CPU milliseconds a frame for

* the network alone, by batch size;
* everything else the engine does: mel window, cut, mask, colour, grain;
* the restorer `sharpen`;
* the ratio of the whole to the network.

CPU time, for wall times on a shared machine mean little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tests.contracts.engine_cases import context_for
from tests.contracts.face_footage import face_requests
from tests.engines.lipsync.neural.seeded import write_seeded_onnx

from facepick.compositing.patch import FacePatch
from facepick.engines.lipsync.gating import Gating
from facepick.engines.lipsync.neural.engine import Wav2LipEngine, Wav2LipSession
from facepick.engines.lipsync.neural.settings import Wav2LipSettings
from facepick.engines.lipsync.neural.wav2lip import load_generator
from facepick.engines.restore.restorer import open_restorer
from facepick.models.store import default_store
from facepick.progress import CancelToken
from facepick.speech.line import Speech
from facepick.speech.vad import Stretch


def cpu_ms(work: Callable[[], Any], *, runs: int) -> float:
    """The least CPU milliseconds of several runs."""
    spent = []
    for _ in range(runs):
        started = time.process_time()
        work()
        spent.append(1000 * (time.process_time() - started))
    return min(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--clip", default="dev_gt2")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    requests = face_requests(
        options.media / "video" / f"{options.clip}.mp4",
        tuple(range(options.frames)),
        margin=Wav2LipEngine.spec.margin,
        mesh=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        network = load_generator(
            write_seeded_onnx(Path(folder) / "wav2lip_96.onnx"), device=options.device
        )
        mel = np.zeros((options.frames, 1, 80, 16), np.float32)
        face = np.random.default_rng(0).random((options.frames, 6, 96, 96), np.float32)
        alone = float("inf")
        for batch in (1, 4, 8, 16):

            def run(batch: int = batch) -> None:
                for at in range(0, options.frames, batch):
                    network(mel[at : at + batch], face[at : at + batch])

            spent = cpu_ms(run, runs=options.runs) / options.frames
            alone = min(alone, spent)
            print(f"network, batch {batch:2d}: {spent:7.1f} CPU ms a frame")
        drawn = network(mel, face)
        for name in ("none", "sharpen"):
            settings = Wav2LipSettings(restorer=name)
            context = context_for(
                Wav2LipEngine(),
                Path(folder),
                requests,
                cancel=CancelToken(),
                settings=settings,
                speech=Speech(samples=np.zeros(16_000 * 60, np.float32)),
            )
            restorer = open_restorer(name, models=default_store())
            session = Wav2LipSession(
                context,
                lambda mel, face: drawn[: len(face)],
                Gating(speak=(Stretch(0, 1000),)),
                restorer,
                Path("seeded"),
            )
            made = sum(isinstance(r, FacePatch) for r in session.process(requests))
            rest = cpu_ms(lambda s=session: s.process(requests), runs=options.runs) / made
            print(
                f"the rest, restorer {name}: {rest:5.1f} CPU ms a frame, "
                f"whole : network = {(alone + rest) / alone:.2f}"
            )


if __name__ == "__main__":
    main()
