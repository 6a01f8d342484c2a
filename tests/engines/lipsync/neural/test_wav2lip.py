"""The network against recorded outputs of the public one, in every form in which users have it."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from facepick.engines.lipsync.neural.checkpoints import find_checkpoints, identify
from facepick.engines.lipsync.neural.generator_arch import expected_shapes
from facepick.engines.lipsync.neural.wav2lip import exported, load_generator
from facepick.errors import ModelMismatchError, OutOfMemory, PackageMissing, SettingsError
from facepick.models.device import OrtSession

# The network runs in float32 in another order of additions than the recorded one.
TOLERANCE = 1e-4


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    return pytest.importorskip("torch", reason="torch writes the .pth files of these tests")


@pytest.fixture(scope="session")
def pth(torch: ModuleType, seeded: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pth") / "wav2lip_gan.pth"
    return seeded.write_seeded_checkpoint(path, prefix="module.")


def check(run: Callable[..., Any], seeded: ModuleType, golden: Path) -> None:
    mel, face = seeded.golden_inputs()
    with np.load(golden / "wav2lip_golden.npz") as recorded:
        np.testing.assert_array_equal(mel, recorded["mel"])
        out = run(mel, face)
        assert out.dtype == np.float32
        assert out.shape == (3, 3, 96, 96)
        assert np.abs(out - recorded["output"]).max() < TOLERANCE


def test_layers_have_the_reference_shapes(golden: Path) -> None:
    import json

    reference = json.loads((golden / "wav2lip_state_dict.json").read_text())
    shapes = {k: tuple(s) for k, (s, _) in reference.items() if "num_batches" not in k}
    assert expected_shapes() == shapes


def test_public_layout(pth: Path, seeded: ModuleType, golden: Path, home: Path) -> None:
    check(load_generator(pth), seeded, golden)


@pytest.mark.slow
def test_exported_once_and_kept_under_its_hash(pth: Path, home: Path) -> None:
    first = exported(pth)
    assert first.is_relative_to(home / "cache")
    written = first.stat().st_mtime_ns
    assert exported(pth) == first
    assert first.stat().st_mtime_ns == written
    assert [p.name for p in first.parent.iterdir()] == [first.name]
    assert exported(pth, half=True) != first


@pytest.mark.slow
def test_half_precision_stays_near(pth: Path, seeded: ModuleType, golden: Path, home: Path) -> None:
    from facepick.engines.lipsync.neural.wav2lip import _OnnxGenerator

    mel, face = seeded.golden_inputs()
    out = _OnnxGenerator(exported(pth, half=True), "cpu")(mel, face)
    with np.load(golden / "wav2lip_golden.npz") as recorded:
        # One step of an 8-bit picture is 4e-3.
        assert np.abs(out - recorded["output"]).max() < 4e-3


@pytest.mark.slow
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("wrapper", "prefix"), [(False, ""), (True, ""), (False, "module.")])
def test_every_pickled_layout(
    torch: ModuleType, seeded: ModuleType, tmp_path: Path, wrapper: bool, prefix: str, legacy: bool
) -> None:
    from facepick.engines.lipsync.neural.checkpoints import generator_tensors

    path = tmp_path / "any name.pth"
    seeded.write_seeded_checkpoint(path, wrapper=wrapper, prefix=prefix, legacy=legacy)
    read = generator_tensors(path)
    wanted = seeded.seeded_arrays()
    assert read.keys() == expected_shapes().keys()
    for key, array in read.items():
        np.testing.assert_array_equal(array, wanted[key])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_torchscript_archive(
    torch: ModuleType, seeded: ModuleType, golden: Path, home: Path, tmp_path: Path
) -> None:
    class Node(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return x

    root = Node()
    for key, array in seeded.seeded_arrays().items():
        node = root
        *parents, leaf = key.split(".")
        for name in parents:
            if name not in dict(node.named_children()):
                node.add_module(name, Node())
            node = getattr(node, name)
        node.register_buffer(leaf, torch.from_numpy(array.copy()))
    path = tmp_path / "Wav2Lip-SD-GAN.pt"
    torch.jit.script(root).save(str(path))
    check(load_generator(path), seeded, golden)
    assert identify(path).variant == "wav2lip_gan"


@pytest.mark.slow
def test_safetensors(seeded: ModuleType, golden: Path, home: Path, tmp_path: Path) -> None:
    path = seeded.write_seeded_safetensors(tmp_path / "wav2lip.safetensors")
    check(load_generator(path), seeded, golden)


def test_onnx(seeded_onnx: Path, seeded: ModuleType, golden: Path) -> None:
    check(load_generator(seeded_onnx), seeded, golden)


@pytest.mark.slow
def test_onnx_that_takes_one_face_at_a_time(
    seeded_onnx: Path, seeded: ModuleType, golden: Path, tmp_path: Path
) -> None:
    # A symbolic size "batch" (field 2) becomes the number 1 (field 1) of the same length.
    fixed = tmp_path / "wav2lip_96.onnx"
    data = seeded_onnx.read_bytes()
    symbolic, number = b"\x0a\x07\x12\x05batch", b"\x0a\x07\x08\x81\x80\x80\x80\x80\x00"
    assert data.count(symbolic) == 3
    fixed.write_bytes(data.replace(symbolic, number))
    check(load_generator(fixed), seeded, golden)


@pytest.mark.slow
def test_torch_gives_the_same(
    torch: ModuleType, pth: Path, seeded: ModuleType, golden: Path
) -> None:
    check(load_generator(pth, runtime="torch"), seeded, golden)


class Card(OrtSession):
    """A session on a graphics card with room for so many faces; gives the faces back."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path, "cpu")
        self.room, self.left = room, False
        self.seen: list[int] = []

    @property
    def on_cpu(self) -> bool:
        return self.left

    def attempt(self, outputs: Any, feed: Any) -> Any:
        self.seen.append(len(feed["target"]))
        if not self.left and self.seen[-1] > self.room:
            raise OutOfMemory("full")
        return [feed["target"][:, 3:]]

    def move_to_cpu(self) -> None:
        self.left = True


# A batch of eight does not fit, then one of four; where not even one does, the CPU takes over.
FEWER = [(3, [8, 4, 2, 2, 2, 2]), (0, [8, 4, 2, 1, *[1] * 8])]


@pytest.mark.parametrize(("room", "batches"), FEWER)
def test_a_full_card_gets_fewer_faces_and_then_the_cpu_all(
    seeded_onnx: Path, seeded: ModuleType, room: int, batches: list[int]
) -> None:
    mel, face = (np.concatenate([a] * 3)[:8] for a in seeded.golden_inputs())
    generator: Any = load_generator(seeded_onnx)
    generator._session = card = Card(seeded_onnx, room)
    np.testing.assert_array_equal(generator(mel, face), face[:, 3:])
    assert card.seen == batches
    assert card.left == (room == 0)


def test_the_same_with_torch(
    torch: ModuleType, pth: Path, seeded: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    mel, face = (np.concatenate([a] * 3)[:8] for a in seeded.golden_inputs())
    generator: Any = load_generator(pth, runtime="torch")
    for room, batches in FEWER:
        seen = []

        def crowded(mel: Any, face: Any, room: int = room, seen: list[int] = seen) -> Any:
            seen.append(len(face))
            if generator._device.type != "cpu" and len(face) > room:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return face[:, 3:]

        monkeypatch.setattr(generator, "_run", crowded)
        generator._device, generator._batch = torch.device("cuda"), 8
        np.testing.assert_array_equal(generator(mel, face), face[:, 3:])
        assert seen == batches
        assert generator._device.type == ("cuda" if room else "cpu")


@pytest.mark.slow
def test_a_card_without_half_precision_goes_on_in_single(
    torch: ModuleType, pth: Path, seeded: ModuleType, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some cards answer with NaN; it must neither reach the picture nor end the job."""
    from facepick.engines.lipsync.neural import wav2lip

    mel, face = seeded.golden_inputs()
    expected = load_generator(pth)(mel, face)
    monkeypatch.setattr(wav2lip, "_device", lambda _: "cuda")
    generator: Any = load_generator(pth)
    attempt = OrtSession.attempt

    def blind(self: OrtSession, outputs: Any, feed: Any) -> Any:
        pictures = attempt(self, outputs, feed)
        return [p * np.nan for p in pictures] if ".fp16." in self._path.name else pictures

    monkeypatch.setattr(OrtSession, "attempt", blind)
    np.testing.assert_array_equal(generator(mel, face), expected)
    with_torch: Any = load_generator(pth, runtime="torch")
    with_torch._half = True
    monkeypatch.setattr(
        with_torch, "_run", lambda _, face: face[:, 3:] * (np.nan if with_torch._half else 1)
    )
    np.testing.assert_array_equal(with_torch(mel, face), face[:, 3:])
    monkeypatch.setattr(with_torch, "_run", lambda _, face: face[:, 3:] * np.nan)
    with pytest.raises(ModelMismatchError, match="not finite"):
        with_torch(mel, face)


@pytest.mark.slow
def test_answers_do_not_depend_on_their_neighbours(seeded_onnx: Path, seeded: ModuleType) -> None:
    run = load_generator(seeded_onnx)
    mel, face = (np.concatenate([a] * 4)[:11] for a in seeded.golden_inputs())
    whole = run(mel, face)
    single = np.concatenate([run(mel[i : i + 1], face[i : i + 1]) for i in range(11)])
    np.testing.assert_array_equal(whole, single)
    assert run(mel[:0], face[:0]).shape == (0, 3, 96, 96)


@pytest.mark.parametrize(
    ("mel", "face"),
    [
        ((1, 1, 80, 15), (1, 6, 96, 96)),
        ((1, 1, 80, 16), (1, 3, 96, 96)),
        ((2, 1, 80, 16), (1, 6, 96, 96)),
    ],
)
def test_wrong_shapes_are_named(
    seeded_onnx: Path, mel: tuple[int, ...], face: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="must be"):
        load_generator(seeded_onnx)(np.zeros(mel, np.float32), np.zeros(face, np.float32))


def test_unknown_device(seeded_onnx: Path) -> None:
    with pytest.raises(SettingsError, match="device"):
        load_generator(seeded_onnx, device="gpu9")


def test_neither_runtime(pth: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PackageMissing, match="onnxruntime"):
        load_generator(pth)


# ------------------------------------------------------------------------- hostile and wrong files


class Attack:
    """Pickles to a call of `os.mkdir`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def refused(path: Path) -> str:
    with pytest.raises(ModelMismatchError) as caught:
        load_generator(path)
    return caught.value.message


def test_malicious_pickles_are_refused_unexecuted(torch: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "pwned"
    evil = {"state_dict": {"output_block.1.bias": torch.zeros(3)}, "x": Attack(target)}
    for name, options in (
        ("zip.pth", {}),
        ("legacy.pth", {"_use_new_zipfile_serialization": False}),
    ):
        path = tmp_path / name
        torch.save(evil, path, **options)
        assert "mkdir" in refused(path)
    raw = tmp_path / "raw.pth"
    raw.write_bytes(pickle.dumps(Attack(target)))
    assert "mkdir" in refused(raw)
    builtin = tmp_path / "eval.pth"
    builtin.write_bytes(b"cbuiltins\neval\n(S'1/0'\ntR.")
    assert "builtins.eval" in refused(builtin)
    script = tmp_path / "script.pt"
    with zipfile.ZipFile(script, "w") as archive:
        archive.writestr("m/constants.pkl", pickle.dumps(()))
        archive.writestr("m/data.pkl", pickle.dumps(Attack(target)))
    assert "mkdir" in refused(script)
    assert not target.exists()


def pickled_tensor(shape: tuple[int, ...], stride: tuple[int, ...], offset: int) -> bytes:
    """A data.pkl with one tensor of a storage of three floats, as torch writes it."""

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    name = text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x03"
    numbers = b"".join(pickle.dumps(n, 2)[2:-1] for n in (offset, shape, stride))
    call = b"ctorch._utils\n_rebuild_tensor_v2\n"
    return b"\x80\x02" + call + b"((" + name + b"tQ" + numbers + b"\x89NtR."


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [((4,), (1,), 0), ((3,), (1,), 1), ((3,), (2,), 0), ((3,), (1,), -1)],
)
def test_a_tensor_cannot_reach_past_its_storage(
    tmp_path: Path, shape: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    from facepick.models.torch_file import read_tensors

    def archive(data: bytes) -> Path:
        path = tmp_path / "t.pth"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("t/data.pkl", data)
            file.writestr("t/data/0", np.arange(3, dtype="<f4").tobytes())
        return path

    (good,) = read_tensors(archive(pickled_tensor((3,), (1,), 0))).values()
    np.testing.assert_array_equal(good.load(), [0, 1, 2])
    with pytest.raises(ModelMismatchError):
        read_tensors(archive(pickled_tensor(shape, stride, offset)))


def test_a_pickle_cannot_ask_for_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    # BINUNICODE8 with a length of 2**40.
    path.write_bytes(b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b"abc")
    assert "bomb.pth" in refused(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<!doctype html>", os.urandom(4096)])
@pytest.mark.parametrize("suffix", [".pth", ".onnx", ".safetensors"])
def test_other_files_get_one_sentence(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    message = refused(path)
    assert path.name in message
    assert message.endswith(".")


def test_cut_short(pth: Path, tmp_path: Path, torch: ModuleType, seeded: ModuleType) -> None:
    zipped = tmp_path / "cut.pth"
    zipped.write_bytes(pth.read_bytes()[: 2**20])
    refused(zipped)
    old = tmp_path / "old.pth"
    seeded.write_seeded_checkpoint(old, legacy=True)
    old.write_bytes(old.read_bytes()[: 2**20])
    assert "cut short" in refused(old)


def test_other_networks_are_told_apart(
    torch: ModuleType, seeded: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "x.pth"
    shapes = {k: torch.zeros(1) for k in expected_shapes()}
    torch.save(shapes, path)
    assert "another size" in refused(path)
    torch.save({"state_dict": {"binary_pred.0.weight": torch.zeros(1, 512, 1, 1)}}, path)
    assert "discriminator" in refused(path)
    torch.save({"state_dict": {"face_encoder.0.conv_block.0.weight": torch.zeros(3)}}, path)
    assert "SyncNet" in refused(path)
    torch.save({"layer.weight": torch.zeros(3)}, path)
    assert "something else" in refused(path)


def test_one_tensor_too_many_is_refused(
    torch: ModuleType, seeded: ModuleType, tmp_path: Path
) -> None:
    state = {k: torch.from_numpy(a.copy()) for k, a in seeded.seeded_arrays().items()}
    state["face_decoder_blocks.7.0.conv_block.0.weight"] = torch.zeros(1)
    path = tmp_path / "x.pth"
    torch.save(state, path)
    assert "face_decoder_blocks.7" in refused(path)


def test_not_a_number_is_damage(torch: ModuleType, seeded: ModuleType, tmp_path: Path) -> None:
    state = {k: torch.from_numpy(a.copy()) for k, a in seeded.seeded_arrays().items()}
    state["output_block.1.bias"][1] = float("nan")
    path = tmp_path / "x.pth"
    torch.save(state, path)
    assert "output_block.1.bias" in refused(path)


def test_found_by_content_whatever_the_name(
    pth: Path, seeded_onnx: Path, vad_model: Path, tmp_path: Path
) -> None:
    deep = tmp_path / "models" / "lip" / "sync"
    deep.mkdir(parents=True)
    os.link(pth, deep / "my checkpoint GAN.pth")
    os.link(seeded_onnx, tmp_path / "models" / "whatever.onnx")
    os.link(vad_model, tmp_path / "models" / "wav2lip.onnx")
    (tmp_path / "models" / "wav2lip.pth").write_bytes(b"not one" * 10_000_000)
    found = find_checkpoints([tmp_path / "models", tmp_path / "nowhere"])
    assert [(c.path.name, c.format, c.variant) for c in found] == [
        ("whatever.onnx", "onnx", "wav2lip"),
        ("my checkpoint GAN.pth", "tensors", "wav2lip_gan"),
    ]
