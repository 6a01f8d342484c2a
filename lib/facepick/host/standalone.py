"""facepick on its own: command line, HTTP and the standalone app."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facepick.home import home_dir
from facepick.host.host import existing, python_path

__all__ = ["StandaloneHost"]


@dataclass(frozen=True, kw_only=True)
class StandaloneHost:
    """The host when there is none.

    Attributes:
        extra_model_folders: named by the user.
        roots: folders below which the tab's users may name files of this machine.
        device_name: as in `Host.device`.
        language_name: ``en``, ``zh``, or None to follow the browser.
    """

    extra_model_folders: Sequence[Path] = ()
    roots: Sequence[Path] = field(default=())
    device_name: str = "auto"
    language_name: str | None = None

    @property
    def name(self) -> str:
        return "standalone"

    def home(self) -> Path:
        return home_dir()

    def outputs(self) -> Path:
        return self.home() / "outputs"

    def model_folders(self) -> tuple[Path, ...]:
        named = [Path(p) for p in os.environ.get("FACEPICK_MODELS", "").split(os.pathsep) if p]
        return existing((*self.extra_model_folders, *named))

    def input_roots(self) -> tuple[Path, ...]:
        return tuple(self.roots)

    def device(self) -> str:
        return os.environ.get("FACEPICK_DEVICE") or self.device_name

    def language(self) -> str | None:
        return self.language_name

    def child_environment(self) -> dict[str, str]:
        variables = {
            "FACEPICK_HOME": str(self.home()),
            "FACEPICK_DEVICE": self.device(),
            "PYTHONPATH": python_path(),
        }
        folders = self.model_folders()
        if folders:
            variables["FACEPICK_MODELS"] = os.pathsep.join(map(str, folders))
        return variables
