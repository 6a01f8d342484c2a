"""What the host answers, with the stand-in's modules in this process."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from facepick.app import App
from facepick.errors import UserInputError
from facepick.host.host import Host, allowed_path
from facepick.host.standalone import StandaloneHost
from facepick.host.webui import WebuiHost
from facepick.models.catalog import SFACE
from facepick.models.spec import ModelSpec

STAND_IN = Path(__file__).resolve().parent / "stand_in"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The WebUI's modules, with their data below the test's folder."""
    monkeypatch.syspath_prepend(str(STAND_IN))
    monkeypatch.delenv("FACEPICK_HOME", raising=False)
    from modules import paths, shared

    paths.data_path = str(tmp_path / "data")
    paths.models_path = str(tmp_path / "data" / "models")
    shared.cmd_opts = argparse.Namespace()
    yield shared
    for name in [n for n in sys.modules if n == "modules" or n.startswith("modules.")]:
        del sys.modules[name]


def option(shared: Any, name: str, value: Any) -> None:
    shared.opts.add_option(name, shared.OptionInfo(value))


def test_both_hosts_answer_every_question(modules: Any) -> None:
    for host in (WebuiHost(), StandaloneHost()):
        assert isinstance(host, Host)
        for question in (
            host.home, host.outputs, host.model_folders, host.fetch_dir, host.has_page,
            host.input_roots, host.device, host.language, host.child_environment,
            host.can_unload, host.can_load_back,
        ):  # fmt: skip
            question()
        assert host.name


@pytest.fixture
def sd_models(modules: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The host's module of checkpoints, with one loaded, and what was called in it."""
    from types import ModuleType, SimpleNamespace

    from facepick.host import webui

    module: Any = ModuleType("modules.sd_models")
    module.model_data = SimpleNamespace(sd_model="a checkpoint")
    module.calls = []
    module.unload_model_weights = lambda *a: module.calls.append(("unload", *a))
    module.send_model_to_device = lambda *a: module.calls.append(("back", *a))
    monkeypatch.setitem(sys.modules, "modules.sd_models", module)
    yield module
    webui._unloaded.clear()


def test_the_hosts_model_is_unloaded_and_put_back(modules: Any, sd_models: Any) -> None:
    host = WebuiHost()
    assert (host.can_unload(), host.can_load_back()) == (True, False)
    assert host.unload()
    assert (host.can_unload(), host.can_load_back()) == (False, True)
    assert host.load_back()
    assert sd_models.calls == [("unload",), ("back", "a checkpoint")]
    assert (host.can_unload(), host.can_load_back()) == (True, False)


def test_forge_puts_its_models_back_by_itself(
    modules: Any, sd_models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facepick.host.webui._is_forge", lambda: True)
    host = WebuiHost()
    assert host.unload()
    assert not host.can_load_back()


def test_a_host_that_makes_a_picture_keeps_its_model(modules: Any, sd_models: Any) -> None:
    modules.state = argparse.Namespace(job="txt2img", job_count=1)
    assert not WebuiHost().unload()
    assert sd_models.calls == []


def test_a_host_without_a_model_or_the_function_is_not_asked(modules: Any, sd_models: Any) -> None:
    sd_models.model_data.sd_model = None
    assert not WebuiHost().can_unload()
    sd_models.model_data.sd_model = "a checkpoint"
    del sd_models.unload_model_weights
    assert not WebuiHost().can_unload()


def test_data_lie_in_the_webuis_folders(modules: Any, tmp_path: Path) -> None:
    host = WebuiHost()
    assert host.home() == tmp_path / "data" / "facepick"
    assert host.outputs() == tmp_path / "data" / "outputs" / "facepick"
    environment = host.child_environment()
    assert environment["FACEPICK_HOME"] == str(host.home())
    assert Path(environment["PYTHONPATH"].split(":")[0], "facepick").is_dir()


def test_models_are_looked_for_where_the_webui_keeps_its_own(modules: Any, tmp_path: Path) -> None:
    (tmp_path / "data" / "models" / "GFPGAN").mkdir(parents=True)
    named = tmp_path / "mine"
    named.mkdir()
    option(modules, "facepick_model_folders", f"{named};{tmp_path / 'absent'}")
    models = tmp_path / "data" / "models"
    assert WebuiHost().model_folders() == (named, models / "GFPGAN", models)


def test_models_of_the_environment_and_of_the_user_are_seen_here_and_in_children(
    modules: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own folder is the one that `standalone.py demo` fills."""
    content = b"recogniser" * 10
    spec = ModelSpec(
        id="thing", file="thing.onnx", sha256=hashlib.sha256(content).hexdigest(),
        size=len(content), licence="MIT", purpose="For tests.",
    )  # fmt: skip
    user, named = tmp_path / "user" / "models", tmp_path / "named"
    webui = tmp_path / "data" / "models" / "facepick"
    fetched = tmp_path / "data" / "facepick" / "models"
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda *_, **__: str(user.parent))
    monkeypatch.setenv("FACEPICK_MODELS", str(named))
    for folder in (user, named, webui, fetched):
        folder.mkdir(parents=True)
    for folder in (user, named, webui, fetched):
        (folder / "thing.onnx").write_bytes(content)
        here = App(WebuiHost()).models
        assert here.find(spec) == folder / "thing.onnx"
        with monkeypatch.context() as child:
            for name, value in WebuiHost().child_environment().items():
                child.setenv(name, value)
            there = App(StandaloneHost()).models
            assert there.find(spec) == folder / "thing.onnx"
            # Both look in the same order, so that they never take different files.
            assert [f for f in there.folders if f.is_dir()] == [
                f for f in here.folders if f.is_dir()
            ]
            assert there.fetch_dir == here.fetch_dir == webui
        (folder / "thing.onnx").unlink()


def test_children_of_a_page_name_its_button_and_no_command(
    modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for host, button in ((WebuiHost(), True), (StandaloneHost(page=True), True),
                         (StandaloneHost(), False)):  # fmt: skip
        with monkeypatch.context() as child:
            for name, value in host.child_environment().items():
                child.setenv(name, value)
            hint = App(StandaloneHost()).models.how_to_get(SFACE)
        assert ("Get the models" in hint) is button
        assert ("facepick models fetch sface" in hint) is not button


def test_where_models_are_fetched_to(modules: Any, tmp_path: Path) -> None:
    assert WebuiHost().fetch_dir() == tmp_path / "data" / "models" / "facepick"
    from modules import paths

    # Models on a disk that this user may not write to.
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    paths.models_path = str(blocked)
    assert WebuiHost().fetch_dir() == WebuiHost().home() / "models"


def test_what_reactor_and_wav2lip_uhq_brought_is_found(modules: Any, tmp_path: Path) -> None:
    """People who move over need not move their files."""
    from modules import paths

    models, extensions = tmp_path / "data" / "models", tmp_path / "extensions"
    paths.extensions_dir = str(extensions)
    folders = [
        models / "facerestore_models",
        models / "insightface",
        models / "insightface" / "models",
        extensions / "sd-wav2lip-uhq" / "scripts" / "wav2lip" / "checkpoints",
        extensions / "sd-wav2lip-uhq" / "scripts" / "faceswap" / "model",
        extensions / "sd-wav2lip-uhq-main" / "scripts" / "wav2lip" / "checkpoints",
    ]
    for folder in folders:
        folder.mkdir(parents=True)
    assert WebuiHost().model_folders() == (*folders, models)


def test_folders_from_the_settings_page_count_only_where_strangers_cannot_change_it(
    modules: Any, tmp_path: Path
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    option(modules, "facepick_input_folders", str(videos))
    assert WebuiHost().input_roots() == (videos,)
    for danger in ("listen", "share", "hide_ui_dir_config"):
        modules.cmd_opts = argparse.Namespace(**{danger: True})
        assert WebuiHost().input_roots() == ()
    modules.cmd_opts = argparse.Namespace(listen=True, facepick_inputs=str(videos))
    assert WebuiHost().input_roots() == (videos,)


@pytest.mark.parametrize(
    ("chosen", "localization", "expected"),
    [("auto", "None", None), ("auto", "zh_CN", "zh"), ("en", "zh_CN", "en"), ("zh", "None", "zh")],
)
def test_language(modules: Any, chosen: str, localization: str, expected: str | None) -> None:
    option(modules, "facepick_language", chosen)
    option(modules, "localization", localization)
    assert WebuiHost().language() == expected


def test_the_device_is_the_hosts_unless_one_is_named(
    modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert WebuiHost().device() == "cpu"
    from modules import devices

    monkeypatch.setattr(devices, "get_optimal_device_name", lambda: "privateuseone:0")
    assert WebuiHost().device() == "directml"
    monkeypatch.setattr(devices, "get_optimal_device_name", lambda: "mps")
    assert WebuiHost().device() == "auto"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    option(modules, "facepick_device", "cuda:1")
    assert WebuiHost().device() == "cuda"
    assert WebuiHost().child_environment()["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_fork_without_any_of_these_modules_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACEPICK_HOME", str(tmp_path))
    host = WebuiHost()
    assert host.home() == tmp_path
    assert host.model_folders() == ()
    assert host.input_roots() == ()
    assert host.device() == "auto"
    assert host.language() is None


def test_a_named_file_must_lie_below_an_allowed_folder(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "a.mp4").write_bytes(b"x")
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (allowed / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    host = StandaloneHost(roots=(allowed,))
    assert allowed_path(host, "a.mp4") == allowed / "a.mp4"
    assert allowed_path(host, f'"{allowed / "a.mp4"}"') == allowed / "a.mp4"
    for name in ("../secret.mp4", str(tmp_path / "secret.mp4"), "link.mp4", "", ".", "b.mp4"):
        with pytest.raises(UserInputError, match="no file that may be opened"):
            allowed_path(host, name)
    with pytest.raises(UserInputError):
        allowed_path(StandaloneHost(), "a.mp4")
