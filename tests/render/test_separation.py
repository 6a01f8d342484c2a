"""A separator that the user brings: a stand-in network and a stand-in command."""

from __future__ import annotations

import json
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.sounds import pcm_wav

from facepick.errors import (
    Cancelled,
    MissingModelError,
    ModelMismatchError,
    ToolError,
    UserInputError,
)
from facepick.media.audio import read_audio
from facepick.media.dub import OriginalSound
from facepick.progress import CancelToken
from facepick.render.separation import check_separator, without_voices

RATE = 44_100
SECONDS = 4
Floats = npt.NDArray[np.float64]


def tones(*hertz: float, rate: int = RATE) -> Floats:
    at = np.arange(SECONDS * rate) / rate
    # They swell, so that a shift in time would be seen.
    return sum(0.2 * np.sin(2 * np.pi * f * at) * np.sin(np.pi * at / SECONDS) for f in hertz)  # type: ignore[return-value]


VOICE, MUSIC = 440.0, 6000.0


def film(folder: Path, rate: int = RATE) -> OriginalSound:
    """A low tone for the voice, a high one for the music; different on both sides."""
    left, right = tones(VOICE, MUSIC, rate=rate), 0.5 * tones(VOICE, MUSIC, rate=rate)
    samples = np.rint(np.stack([left, right], 1) * 32767).astype(np.int16)
    return OriginalSound(path=pcm_wav(folder / "film.wav", samples, rate))


def network(
    path: Path, *, n_fft: int = 2048, frames: int = 32, below: float = 2000.0, voice: bool = True
) -> Path:
    """An MDX-Net that takes everything below (or above) a frequency for its stem."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    bins = n_fft // 2 + 1
    low = (np.arange(bins) * RATE / n_fft < below).astype(np.float32)
    mask = (low if voice else 1 - low).reshape(1, 1, bins, 1)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["input", "mask"], ["output"])],
        "mdx",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 4, bins, frames])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4, bins, frames])],
        [numpy_helper.from_array(mask, "mask")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    facts = {
        "mdx_n_fft_scale_set": n_fft,
        "primary_stem": "Vocals" if voice else "Instrumental",
        "compensate": 1.0,
    }
    path.with_name(path.name + ".json").write_text(json.dumps(facts))
    return path


def rest_of(original: OriginalSound, separator: str, folder: Path, **more: object) -> Floats:
    made = without_voices(
        original,
        separator,
        seconds=Fraction(SECONDS),
        folder=folder,
        key="k",
        **more,  # type: ignore[arg-type]
    )
    samples, rate = read_audio(made)
    assert rate == RATE
    assert samples.shape == (SECONDS * RATE, 2)
    return samples.astype(np.float64)


@pytest.mark.parametrize("voice", [True, False])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_a_network_takes_the_voice_out(tmp_path: Path, voice: bool, rate: int) -> None:
    separator = network(tmp_path / "stand_in.onnx", voice=voice)
    rest = rest_of(film(tmp_path, rate), str(separator), tmp_path / "kept")
    music = tones(MUSIC)
    # Blocks meet without a seam, and nothing is moved in time: 40 dB below the music.
    assert np.abs(rest[:, 0] - music).max() < 0.01 * 0.2
    assert np.abs(rest[:, 1] - 0.5 * music).max() < 0.01 * 0.2


COMMAND = """
import sys, wave, numpy as np
source, voices, rest = sys.argv[1:]
with wave.open(source) as file:
    params, raw = file.getparams(), file.readframes(file.getnframes())
whole = np.frombuffer(raw, np.uint8).reshape(-1, 3).astype(np.int32)
values = (whole[:, 0] | whole[:, 1] << 8 | whole[:, 2] << 16) - ((whole[:, 2] & 128) << 17)
for name, share in ((voices, 0.25), (rest, 0.75)):
    if name == "-":
        continue
    made = (values * share).astype("<i4")
    with wave.open(name, "wb") as file:
        file.setparams(params)
        file.writeframes(made.reshape(-1, 1).view(np.uint8)[:, :3].tobytes())
"""


@pytest.fixture
def tool(tmp_path: Path) -> str:
    """A command whose path has a blank in it, as paths of programs do."""
    script = tmp_path / "my tool.py"
    script.write_text(COMMAND)
    return f'"{sys.executable}" "{script}"'


@pytest.mark.slow
@pytest.mark.parametrize("places", ["{in} {voices} {rest}", "{in} - {rest}", "{in} {voices} -"])
def test_a_command(tmp_path: Path, tool: str, places: str) -> None:
    rest = rest_of(film(tmp_path), f"{tool} {places}", tmp_path / "kept")
    wanted = 0.75 * tones(VOICE, MUSIC)
    assert np.abs(rest[:, 0] - wanted).max() < 1e-4


def test_no_shell_reads_the_command(tmp_path: Path, tool: str) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(ToolError):
        rest_of(film(tmp_path), f"{tool} {{in}} - {{rest}} ; touch {mark}", tmp_path / "kept")
    assert not mark.exists()


def test_it_is_made_once(tmp_path: Path, tool: str) -> None:
    original, kept = film(tmp_path), tmp_path / "kept"
    rest_of(original, f"{tool} {{in}} - {{rest}}", kept)
    before = [p.stat().st_mtime_ns for p in kept.iterdir()]
    rest_of(original, f"{tool} {{in}} - {{rest}}", kept)
    assert [p.stat().st_mtime_ns for p in kept.iterdir()] == before
    assert len(before) == 1


def test_a_command_that_fails(tmp_path: Path) -> None:
    original, kept = film(tmp_path), tmp_path / "kept"
    script = tmp_path / "fails.py"
    for code, words in (
        ("import sys; print('no room left'); sys.exit(3)", "ended with code 3: no room left"),
        ("pass", "neither"),
        (
            "import shutil, sys, wave\n"
            "f = wave.open(sys.argv[1], 'wb'); f.setparams((2, 2, 44100, 0, 'NONE', ''))\n"
            "f.writeframes(bytes(4 * 4410)); f.close()",
            r"0\.1 s of sound for 4\.0 s",
        ),
    ):
        script.write_text(code)
        with pytest.raises(ToolError, match=words):
            rest_of(original, f'"{sys.executable}" "{script}" {{rest}} {{in}}', kept)
    with pytest.raises(ToolError, match="no program"):
        rest_of(original, "no-such-program-anywhere {in} {rest}", kept)
    assert list(kept.iterdir()) == []


def test_a_command_is_ended_with_the_job(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text("import time; time.sleep(60)")
    token = CancelToken()
    threading.Timer(0.5, token.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        rest_of(
            film(tmp_path), f'"{sys.executable}" "{script}" {{in}} {{rest}}', tmp_path / "kept",
            cancel=token,
        )  # fmt: skip
    assert time.monotonic() - began < 30
    assert list((tmp_path / "kept").iterdir()) == []


def test_what_is_no_separator(tmp_path: Path) -> None:
    with pytest.raises(MissingModelError, match="none is named"):
        check_separator(None)
    with pytest.raises(UserInputError, match="no separator"):
        check_separator(str(tmp_path / "nothing.onnx"))
    with pytest.raises(UserInputError, match="names no file to write"):
        check_separator("tool {in}")
    with pytest.raises(UserInputError, match="cannot be read"):
        check_separator('tool "{in} {rest}')
    unknown = network(tmp_path / "unknown.onnx")
    (tmp_path / "unknown.onnx.json").unlink()
    with pytest.raises(ModelMismatchError, match="none of the UVR-MDX files"):
        rest_of(film(tmp_path), str(unknown), tmp_path / "kept")
    other = network(tmp_path / "other.onnx")
    (tmp_path / "other.onnx.json").write_text('{"mdx_n_fft_scale_set": 4096}')
    with pytest.raises(ModelMismatchError, match="does not say what"):
        rest_of(film(tmp_path), str(other), tmp_path / "kept")
