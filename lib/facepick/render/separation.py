"""Separation of music and effects: a separator that the user brings takes the voices out.

Two kinds are taken.  An ONNX file of the MDX-Net family, as Ultimate Vocal Remover uses them (Kim
et al., *KUIELab-MDX-Net: a two-stream neural network for music demixing*, 2021): the network sees
the complex spectrum of stereo sound at 44.1 kHz below a limit and gives that of one stem.  Or a
command in which ``{in}`` stands for the sound, ``{voices}`` and ``{rest}`` for what it shall
write; it is run as it is, without a shell.

A command is never taken from a plan, for a plan may come from a stranger: it comes from the command
line or from ``FACEPICK_SEPARATOR``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shlex
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import MissingModelError, ModelMismatchError, ToolError, UserInputError
from facepick.media.dub import OriginalSound, SoundFormat, line_seconds, original_pieces, straight
from facepick.models.device import ort_session
from facepick.models.store import sha256_of
from facepick.programs import run_program
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.speech.line import SpeechLine

__all__ = ["check_separator", "without_voices"]

log = logging.getLogger("facepick.render.separation")

FloatSamples = npt.NDArray[np.float32]

RATE = 44_100
"""What MDX-Net learned from, and what other separators expect, too."""
_HOP = 1024
_FORM = SoundFormat(rate=RATE, channels=2, lossless=True)
# UVR tells its files apart by the MD5 of so much of their end.
_END_BYTES = 10_000 * 1024
# Separators pad to whole blocks; a second more or less is another sound.
_MAX_DIFFERENCE_SECONDS = 1.0

_KNOWN: dict[str, tuple[int, bool, float]] = {
    "0ddfc0eb5792638ad5dc27850236c246": (6144, True, 1.035),
    "2cdd429caac38f0194b133884160f2c6": (7680, False, 1.045),
    "398580b6d5d973af3120df54cee6759d": (7680, True, 1.75),
    "488b3e6f8bd3717d9d7c428476be2d75": (7680, False, 1.035),
    "53c4baf4d12c3e6c3831bb8f5b532b93": (7680, True, 1.043),
    "5d343409ef0df48c7d78cce9f0106781": (7680, True, 1.075),
    "5f6483271e1efb9bfb59e4a3e6d4d098": (6144, True, 1.035),
    "6b31de20e84392859a3d09d43f089515": (6144, True, 1.035),
    "867595e9de46f6ab699008295df62798": (7680, True, 1.03),
    "a3cd63058945e777505c01d2507daf37": (6144, True, 1.03),
    "b33d9b3950b6cbf5fe90a32608924700": (7680, True, 1.03),
    "ceed671467c1f64ebdfac8a2490d0d52": (7680, False, 1.035),
    "d2a1376f310e4f7fa37fb9b5774eb701": (7680, False, 1.035),
    "d7bff498db9324db933d913388cba6be": (6144, True, 1.035),
    "d94058f8c7f1fae4164868ae8ae66b20": (6144, True, 1.035),
    "e5572e58abf111f80d8241d2e44e7fa4": (7680, False, 1.028),
    "e7324c873b1f615c35c1967f912db92a": (7680, True, 1.03),
    "1c56ec0224f1d559c42fd6fd2a67b154": (5120, False, 1.025),
    "f2df6d6863d8f435436d8b561594ff49": (7680, False, 1.035),
    "b06327a00d5e5fbc7d96e1781bbdb596": (6144, False, 1.035),
    "94ff780b977d3ca07c7a343dab2e25dd": (6144, False, 1.039),
    "73492b58195c3b52d34590d5474452f6": (7680, True, 1.043),
    "970b3f9492014d18fefeedfe4773cb42": (7680, True, 1.009),
    "203f2a3955221b64df85a41af87cf8f0": (6144, False, 1.035),
    "291c2049608edb52648b96e27eb80e95": (6144, False, 1.035),
    "ead8d05dab12ec571d67549b3aab03fc": (6144, False, 1.035),
    "cc63408db3d80b4d85b0287d1d7c9632": (6144, False, 1.033),
    "55657dd70583b0fedfba5f67df11d711": (6144, False, 1.022),
    "b6bccda408a436db8500083ef3491e8b": (7680, False, 1.02),
    "8a88db95c7fb5dbe6a095ff2ffb428b1": (5120, False, 1.026),
    "b78da4afc6512f98e4756f5977f5c6b9": (7680, False, 1.021),
    "77d07b2667ddf05b9e3175941b4454a0": (7680, True, 1.021),
}
"""Length of the Fourier transform, whether the stem is the voice, and what its level is multiplied
with: UVR's public table (TRvlvr/application_data, mdx_model_data), without karaoke files, whose
"instrumental" holds the second voices."""


def check_separator(separator: str | None) -> None:
    """Check that there is a separator that can be tried.

    Raises:
        MissingModelError: none is named.
        UserInputError: the file is not there, or the command lacks its places.
    """
    if not separator:
        raise MissingModelError(
            "Taking the voices out needs a separator, and none is named.",
            hint="Name a UVR-MDX file or a command: --separator UVR-MDX-NET-Inst_HQ_3.onnx, or "
            '--separator "TOOL {in} {voices} {rest}", or set FACEPICK_SEPARATOR.',
        )
    if _is_command(separator):
        _command(separator, Path("in.wav"), Path("voices.wav"), Path("rest.wav"))
    elif not Path(separator).is_file():
        raise UserInputError(
            f"There is no separator {separator}.",
            hint="Name an ONNX file, or a command with {in} and {rest}.",
        )


def without_voices(
    original: OriginalSound,
    separator: str | None,
    *,
    seconds: Fraction,
    folder: Path,
    key: str,
    device: str = "auto",
    progress: ProgressSink = no_progress,
    cancel: CancelToken = never,
) -> Path:
    """Take the voices out of the original: a WAV file, 44.1 kHz stereo; made once and kept.

    Args:
        original: from its `start` on, which becomes the first sample.
        separator: path of an ONNX file, or a command.
        seconds: how much of it.
        folder: where results are kept.
        key: tells originals apart, such as the video's hash.

    Raises:
        MissingModelError, UserInputError: as `check_separator`.
        ModelMismatchError: the ONNX file is no MDX-Net that is known.
        ToolError: the command fails, or does not write what it should.
        Cancelled: the command is ended, too.
    """
    check_separator(separator)
    assert separator is not None
    made_of = separator if _is_command(separator) else sha256_of(Path(separator), cancel=cancel)
    name = hashlib.sha256(f"{key} {original.stream} {seconds} {made_of}".encode()).hexdigest()
    rest = folder / f"{name[:32]}.wav"
    if rest.is_file():
        return rest
    folder.mkdir(parents=True, exist_ok=True)
    meter = ProgressMeter(progress, "separate", None)
    meter.update(0, force=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="part-") as work:
        mix, voices, made = (Path(work) / n for n in ("in.wav", "voices.wav", "rest.wav"))
        _write(mix, _original(original, seconds, cancel), cancel)
        if _is_command(separator):
            argv = _command(separator, mix, voices, made)
            what = f"The separator {Path(argv[0]).name}"
            run_program(argv, what=what, hint="Run its command by hand to see why.", cancel=cancel)
            made = _checked(mix, voices, made, Path(work), cancel)
        else:
            network = _Mdx(Path(separator), device)
            _write(made, network.rest(straight(mix, seconds=seconds, form=_FORM), meter), cancel)
        os.replace(made, rest)
    return rest


def _original(
    original: OriginalSound, seconds: Fraction, cancel: CancelToken
) -> Iterator[FloatSamples]:
    """Read so much of the original, filled up with silence."""
    left = round(seconds * RATE)
    for piece in original_pieces(original, original.start, RATE, 2, cancel):
        yield piece[:left]
        left -= min(left, len(piece))
        if not left:
            return
    yield np.zeros((left, 2), np.float32)


def _write(path: Path, pieces: Iterator[FloatSamples], cancel: CancelToken) -> None:
    """Write a 24-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 3, RATE, 0, "NONE", ""))
        for piece in pieces:
            cancel.raise_if_cancelled()
            whole = np.clip(np.rint(piece.astype(np.float64) * 2**23), -(2**23), 2**23 - 1)
            file.writeframes(whole.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :3].tobytes())


# ---------------------------------------------------------------------------------------- commands


def _is_command(separator: str) -> bool:
    return "{in}" in separator


def _command(separator: str, mix: Path, voices: Path, rest: Path) -> list[str]:
    """Put the files in their places in the words of the command.

    Raises:
        UserInputError: it writes neither, or names a place that there is not.
    """
    try:
        words = shlex.split(separator, posix=os.name != "nt")
    except ValueError as error:
        raise UserInputError(
            f"The separator's command cannot be read: {error}.", hint="Check its quotes."
        ) from error
    if "{voices}" not in separator and "{rest}" not in separator:
        raise UserInputError(
            "The separator's command names no file to write.",
            hint="Put {rest} into it, or {voices}: TOOL {in} {voices} {rest}.",
        )
    places = {"{in}": mix, "{voices}": voices, "{rest}": rest}
    made = []
    for word in words:
        for place, file in places.items():
            word = word.replace(place, str(file))
        made.append(word)
    return made


def _checked(mix: Path, voices: Path, rest: Path, folder: Path, cancel: CancelToken) -> Path:
    """Check what the command left; without the rest, take what the voices leave of the mix.

    Raises:
        ToolError: it has written neither, or another length.
    """
    wanted = line_seconds(SpeechLine(path=str(mix)), cancel=cancel)
    made = next((p for p in (rest, voices) if p.is_file() and p.stat().st_size), None)
    if made is None:
        raise ToolError(
            "The separator has written neither {rest} nor {voices}.",
            hint="Check where its command writes.",
        )
    held = line_seconds(SpeechLine(path=str(made)), cancel=cancel)
    if abs(held - wanted) > _MAX_DIFFERENCE_SECONDS:
        raise ToolError(
            f"The separator gave {float(held):.1f} s of sound for {float(wanted):.1f} s.",
            hint="It must give as much as it is given.",
        )
    whole = folder / "whole.wav"
    stem = straight(made, seconds=wanted, form=_FORM, cancel=cancel)
    if made == rest:
        _write(whole, stem, cancel)
    else:
        _write(whole, _difference(straight(mix, seconds=wanted, form=_FORM), stem), cancel)
    return whole


def _difference(
    mix: Iterator[FloatSamples], voices: Iterator[FloatSamples]
) -> Iterator[FloatSamples]:
    held: FloatSamples = np.zeros((0, 2), np.float32)
    for piece in mix:
        while len(held) < len(piece):
            more = next(voices, None)
            if more is None:
                more = np.zeros((len(piece) - len(held), 2), np.float32)
            held = np.concatenate([held, more])
        yield piece - held[: len(piece)]
        held = held[len(piece) :]


# ----------------------------------------------------------------------------------------- MDX-Net


@dataclass(frozen=True)
class _Facts:
    """Facts that a network cannot tell of itself.

    Attributes:
        n_fft: length of the Fourier transform.
        gives_voice: whether it gives the voice; if not, what is beside it.
        level: what its answer is multiplied with.
    """

    n_fft: int
    gives_voice: bool
    level: float


def _facts_of(path: Path) -> _Facts:
    """Read a file ``NAME.onnx.json`` beside it, in UVR's words, or the table.

    Raises:
        ModelMismatchError: neither says.
    """
    beside = path.with_name(path.name + ".json")
    if beside.is_file():
        try:
            data = json.loads(beside.read_text("utf-8"))
            n_fft = int(data["mdx_n_fft_scale_set"])
            stem = str(data["primary_stem"])
            level = float(data.get("compensate", 1.0))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelMismatchError(
                f"{beside.name} does not say what {path.name} is.",
                hint='It must read like {"mdx_n_fft_scale_set": 6144, "primary_stem": "Vocals"}.',
            ) from error
        if stem not in ("Vocals", "Instrumental") or not 2 * _HOP <= n_fft <= 32 * _HOP:
            raise ModelMismatchError(
                f"{beside.name} names the stem {stem!r} and a transform of {n_fft}.",
                hint="The stem must be Vocals or Instrumental.",
            )
        return _Facts(n_fft, stem == "Vocals", level)
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        digest = hashlib.md5(file.read(), usedforsecurity=False).hexdigest()
    if digest not in _KNOWN:
        raise ModelMismatchError(
            f"{path.name} is none of the UVR-MDX files that are known.",
            hint=f"Say what it is in a file {beside.name} beside it, with UVR's "
            "mdx_n_fft_scale_set, primary_stem and compensate.",
        )
    return _Facts(*_KNOWN[digest])


class _Mdx:
    """An MDX-Net.

    Raises:
        ModelMismatchError: the file is none.
    """

    def __init__(self, path: Path, device: str) -> None:
        self._facts = _facts_of(path)
        self._session = ort_session(path, device)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = list(inputs[0].shape) if len(inputs) == 1 and len(outputs) == 1 else []
        if len(shape) != 4 or shape[1] != 4 or not all(isinstance(n, int) for n in shape[2:]):
            raise ModelMismatchError(
                f"{path.name} is no MDX-Net: its input is {shape}, not [n, 4, bins, frames].",
                hint="Take a UVR-MDX file, such as UVR-MDX-NET-Inst_HQ_3.onnx.",
            )
        self._bins, self._frames = int(shape[2]), int(shape[3])
        self._name = inputs[0].name
        if self._bins > self._facts.n_fft // 2 + 1:
            raise ModelMismatchError(
                f"{path.name} sees {self._bins} bins; a transform of {self._facts.n_fft} has less.",
                hint="Check mdx_n_fft_scale_set.",
            )
        window = np.arange(self._facts.n_fft) / self._facts.n_fft
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi * window)).astype(np.float32)

    def rest(self, mix: Iterator[FloatSamples], meter: ProgressMeter) -> Iterator[FloatSamples]:
        """Yield what is left of a mix without its voices, a block at a time.

        A block's ends lack what would come before and after, so half a transform at both is only
        looked at.
        """
        edge = self._facts.n_fft // 2
        step = _HOP * (self._frames - 1) - 2 * edge
        if step <= 0:
            raise ModelMismatchError("The separator's blocks are shorter than its transform.")
        held: FloatSamples = np.zeros((edge, 2), np.float32)
        done = 0
        ended = False
        while not ended or len(held) > edge:
            while len(held) < step + 2 * edge and not ended:
                piece = next(mix, None)
                ended = piece is None
                if piece is not None:
                    held = np.concatenate([held, piece])
            block = held[: step + 2 * edge]
            count = min(step, max(0, len(held) - edge)) if ended else step
            if not count:
                return
            short = step + 2 * edge - len(block)
            if short:
                block = np.concatenate([block, np.zeros((short, 2), np.float32)])
            stem = self._stem(block)[edge : edge + count] * np.float32(self._facts.level)
            yield block[edge : edge + count] - stem if self._facts.gives_voice else stem
            held = held[step:]
            done += count
            meter.update(done)

    def _stem(self, block: FloatSamples) -> FloatSamples:
        """Compute (n, 2) samples of the network's stem from (n, 2) samples of sound."""
        spectrum = self._spectrum(block)
        seen = spectrum[:, : self._bins].copy()
        # The lowest bins hold rumble, which it has learned without.
        seen[:, :3] = 0
        parts = np.stack([seen[0].real, seen[0].imag, seen[1].real, seen[1].imag])
        (answer,) = self._session.run(None, {self._name: parts[None].astype(np.float32)})
        given = np.zeros_like(spectrum)
        given[0, : self._bins] = answer[0, 0] + 1j * answer[0, 1]
        given[1, : self._bins] = answer[0, 2] + 1j * answer[0, 3]
        return self._samples(given, len(block))

    def _spectrum(self, block: FloatSamples) -> npt.NDArray[np.complex64]:
        """Compute the spectrum of a block, mirrored at its ends, (2, n_fft / 2 + 1, frames)."""
        size = self._facts.n_fft
        padded = np.pad(block, ((size // 2, size // 2), (0, 0)), mode="reflect")
        rows = np.lib.stride_tricks.sliding_window_view(padded, size, axis=0)[::_HOP]
        made = np.fft.rfft(rows * self._window, axis=-1)
        return np.asarray(made.transpose(1, 2, 0), np.complex64)

    def _samples(self, spectrum: npt.NDArray[Any], count: int) -> FloatSamples:
        """Invert `_spectrum`, by weighted overlap and addition."""
        size, frames = self._facts.n_fft, spectrum.shape[2]
        rows = np.fft.irfft(spectrum, size, axis=1) * self._window[None, :, None]
        total = np.zeros((2, size + _HOP * (frames - 1)))
        weight = np.zeros(total.shape[1])
        for i in range(frames):
            at = slice(i * _HOP, i * _HOP + size)
            total[:, at] += rows[:, :, i]
            weight[at] += self._window**2
        total /= np.maximum(weight, 1e-8)
        return np.asarray(total[:, size // 2 : size // 2 + count].T, np.float32)
