"""Host of facepick inside the Stable Diffusion WebUI: A1111, Forge and their forks.

The only file that imports the WebUI's `modules`.  Every import stands on its own, because forks
move and drop modules; what is missing falls back to what the standalone app does.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facepick.host.host import existing, model_environment, python_path
from facepick.models.device import DEVICES
from facepick.paths import DEFAULT_JOBS, JOBS_VARIABLE, home_dir

__all__ = [
    "OPTIONS",
    "WebuiHost",
    "add_options",
    "host_module",
    "may_write",
    "webui_model_folders",
]

_log = logging.getLogger("facepick.host.webui")

OPTIONS: tuple[tuple[str, Any, str, str, dict[str, Any]], ...] = (
    (
        "facepick_language",
        "auto",
        "Language of the tab",
        "Radio",
        {"choices": ["auto", "en", "zh"]},
    ),
    (
        "facepick_input_folders",
        "",
        "Folders whose videos may be opened by their path, separated by ;",
        "Textbox",
        {},
    ),
    (
        "facepick_model_folders",
        "",
        "More folders with model files, separated by ;",
        "Textbox",
        {},
    ),
    (
        "facepick_jobs",
        DEFAULT_JOBS,
        "Jobs that work at once; the others wait in order",
        "Slider",
        {"minimum": 1, "maximum": 16, "step": 1},
    ),
    (
        "facepick_device",
        "auto",
        "Device for the models",
        "Textbox",
        {},
    ),
    (
        "facepick_cache_gb",
        20,
        "Largest size of the cache in GB; what was not used for longest goes (0: no limit)",
        "Number",
        {},
    ),
)
"""Name, default, label, gradio component and its arguments of every entry on the settings page."""


def host_module(name: str) -> Any:
    """Import ``modules.<name>`` of the WebUI, or None where it is missing or fails to load."""
    try:
        return importlib.import_module(f"modules.{name}")
    except ImportError:
        return None


def add_options() -> None:
    """Put facepick's entries on the WebUI's settings page; called by ``on_ui_settings``."""
    shared = host_module("shared")
    options = host_module("options")
    info = getattr(shared, "OptionInfo", None) or getattr(options, "OptionInfo", None)
    if shared is None or info is None:
        return
    import gradio

    for name, default, label, component, arguments in OPTIONS:
        shared.opts.add_option(
            name,
            info(
                default,
                label,
                getattr(gradio, component),
                dict(arguments),
                section=("facepick", "facepick"),
            ),
        )


@dataclass(frozen=True)
class WebuiHost:
    """Host that asks the WebUI; its folders and options are read anew at every question."""

    @property
    def name(self) -> str:
        """See `Host`."""
        return "Forge" if host_module("launch_utils") and _is_forge() else "A1111"

    def home(self) -> Path:
        """See `Host`."""
        if os.environ.get("FACEPICK_HOME"):
            return home_dir()
        data = _path("data_path")
        return home_dir() if data is None else data / "facepick"

    def outputs(self) -> Path:
        """See `Host`."""
        data = _path("data_path")
        return self.home() / "outputs" if data is None else data / "outputs" / "facepick"

    def model_folders(self) -> tuple[Path, ...]:
        """See `Host`."""
        own = webui_model_folders(
            models=_path("models_path"),
            data=_path("data_path"),
            extensions=_path("extensions_dir"),
            named=(self.option("facepick_model_folders", ""), _argument("facepick_models")),
        )
        return existing((*own, self.home() / "models"))

    def fetch_dir(self) -> Path:
        """Return ``models/facepick`` of the WebUI, where it can be written to."""
        models = _path("models_path")
        chosen = self.home() / "models" if models is None else models / "facepick"
        return chosen if may_write(chosen) else self.home() / "models"

    def has_page(self) -> bool:
        """See `Host`."""
        return True

    def input_roots(self) -> tuple[Path, ...]:
        """List the result folder and the folders on the settings page.

        None from the settings page where the WebUI itself keeps strangers from changing its
        folders (``--hide-ui-dir-config``, or shared on the network): there the page can be
        changed by everybody who can open it.
        """
        data = _path("data_path")
        roots = [] if data is None else [data / "outputs", data / "inputs"]
        named = _argument("facepick_inputs")
        if not _is_public():
            named = f"{named or ''};{self.option('facepick_input_folders', '')}"
        roots += [Path(p.strip()) for p in str(named or "").split(";") if p.strip()]
        return existing(tuple(roots))

    def device(self) -> str:
        """See `Host`."""
        name = self._device_name().partition(":")[0]
        # `privateuseone` is how torch-directml calls itself.
        name = {"privateuseone": "directml"}.get(name, name)
        # The host may use what our networks do not know by that name (mps, xpu, npu).
        return name if name in DEVICES else "auto"

    def _device_name(self) -> str:
        """Choose the device as the settings page or the host says, such as ``cuda:1``."""
        chosen = str(self.option("facepick_device", "auto") or "auto").strip().lower()
        if chosen != "auto":
            return chosen
        find = getattr(host_module("devices"), "get_optimal_device_name", None)
        return str(find()) if callable(find) else "auto"

    def can_unload(self) -> bool:
        """See `Host`."""
        return not _unloaded and _sd_model() is not None and _sd_function("unload_model_weights")

    def unload(self) -> bool:
        """Unload the host's models, in the server's own process after a click; see
        `Host.unload`."""
        if not _while_idle("unload_model_weights"):
            return False
        # Forge loads what it needs by itself, and says so by a function that does nothing.
        if not _is_forge():
            _unloaded.append(_sd_model())
        return True

    def can_load_back(self) -> bool:
        """See `Host`."""
        return bool(_unloaded) and _sd_function("send_model_to_device")

    def load_back(self) -> bool:
        """See `Host`."""
        if not _while_idle("send_model_to_device", *_unloaded):
            return False
        _unloaded.clear()
        return True

    def language(self) -> str | None:
        """See `Host`."""
        chosen = str(self.option("facepick_language", "auto"))
        if chosen in ("en", "zh"):
            return chosen
        localization = str(self.option("localization", "None")).lower()
        return "zh" if localization.startswith("zh") else None

    def child_environment(self) -> dict[str, str]:
        """See `Host`."""
        variables = {
            "FACEPICK_HOME": str(self.home()),
            "FACEPICK_DEVICE": self.device(),
            "PYTHONPATH": python_path(),
            JOBS_VARIABLE: str(self.option("facepick_jobs", DEFAULT_JOBS)),
        }
        limit = self.option("facepick_cache_gb", None)
        if isinstance(limit, int | float):
            variables["FACEPICK_CACHE_GB"] = str(limit)
        kind, _, number = self._device_name().partition(":")
        if kind == "cuda" and number.isdigit() and "CUDA_VISIBLE_DEVICES" not in os.environ:
            # The child sees only the card that was chosen, as its first.
            variables["CUDA_VISIBLE_DEVICES"] = number
        return {**variables, **model_environment(self)}

    def wants_api(self) -> bool:
        """Tell whether the WebUI was started with an HTTP API that needs no password."""
        return bool(_argument("api")) and not _argument("api_auth") and not _is_public()

    def has_queue(self) -> bool:
        """Tell whether gradio's queue is on; it is off with ``--no-gradio-queue``."""
        return not _argument("no_gradio_queue")

    def option(self, name: str, default: Any) -> Any:
        """Read a value of the WebUI's settings page."""
        opts = getattr(host_module("shared"), "opts", None)
        return getattr(opts, name, default)


# Where the WebUI and its extensions (ReActor above all) keep what facepick can use, too; a store
# also looks into the direct subfolders, such as ``insightface/models/buffalo_l``.
_MODEL_SUBFOLDERS = (
    "facepick",
    "Codeformer",
    "GFPGAN",
    "GPEN",
    "RestoreFormer",
    "facerestore_models",
    "insightface",
    "insightface/models",
    "hyperswap",
    "wav2lip",
)
# Where sd-wav2lip-uhq keeps its files.
_UHQ_FOLDERS = ("scripts/wav2lip/checkpoints", "scripts/faceswap/model")


def webui_model_folders(
    *, models: Path | None, data: Path | None, extensions: Path | None, named: Sequence[Any] = ()
) -> tuple[Path, ...]:
    """List folders of a WebUI in which model files may lie, there or not.

    install.py asks, too, before the WebUI's modules can be loaded.

    Args:
        models, data, extensions: the WebUI's folders, as far as they are known.
        named: texts with folders separated by ``;``, from the settings page and command line.
    """
    chosen = [
        Path(part.strip())
        for text in named
        for part in str(text or "").replace(";", os.pathsep).split(os.pathsep)
        if part.strip()
    ]
    own = [] if models is None else [models / name for name in _MODEL_SUBFOLDERS]
    if data is not None:
        # install.py is not told of --models-dir and puts files here then.
        own.append(data / "models" / "facepick")
    if extensions is not None:
        # Forks and unpacked archives bear other names: sd-wav2lip-uhq-main.
        own += [p / name for p in sorted(extensions.glob("*wav2lip*")) for name in _UHQ_FOLDERS]
    if models is not None:
        own.append(models)
    return (*chosen, *own)


def may_write(folder: Path) -> bool:
    """Tell whether files can be put into a folder, which need not be there yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


_unloaded: list[Any] = []
"""The model that was taken off the card, where the host will not put it back by itself: A1111 fails
at the next picture until somebody does."""


def _sd_model() -> Any:
    """Find the host's checkpoint in memory; None when it has none.

    Not ``shared.sd_model``, which would load one.
    """
    return getattr(getattr(host_module("sd_models"), "model_data", None), "sd_model", None)


def _sd_function(name: str) -> bool:
    return callable(getattr(host_module("sd_models"), name, None))


def _while_idle(name: str, *arguments: Any) -> bool:
    """Call a function of the host's ``sd_models`` unless the host makes a picture just now."""
    state = getattr(host_module("shared"), "state", None)
    if getattr(state, "job", "") or getattr(state, "job_count", 0) > 0:
        return False
    lock = getattr(host_module("call_queue"), "queue_lock", None) or nullcontext()
    with lock:
        getattr(host_module("sd_models"), name)(*arguments)
        collect = getattr(host_module("devices"), "torch_gc", None)
        if callable(collect):
            collect()
    return True


def _is_forge() -> bool:
    return importlib.util.find_spec("modules_forge") is not None


def _path(name: str) -> Path | None:
    value = getattr(host_module("paths"), name, None)
    return Path(value).absolute() if value else None


def _argument(name: str) -> Any:
    return getattr(getattr(host_module("shared"), "cmd_opts", None), name, None)


def _is_public() -> bool:
    if _argument("hide_ui_dir_config"):
        return True
    reachable = _argument("share") or _argument("listen") or _argument("ngrok")
    return bool(reachable) and not _argument("enable_insecure_extension_access")
