"""Host of facepick on its own: command line, HTTP and the standalone app."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facepick.host.host import existing, model_environment, python_path
from facepick.paths import home_dir

__all__ = ["StandaloneHost"]


@dataclass(frozen=True, kw_only=True)
class StandaloneHost:
    """The host when there is none.

    Attributes:
        extra_model_folders: named by the user.
        roots: folders below which the tab's users may name files of this machine.
        device_name: as in `Host.device`.
        page: as `Host.has_page`; a child process has it from its environment.
        language_name: ``en``, ``zh``, or None to follow the browser.
    """

    extra_model_folders: Sequence[Path] = ()
    roots: Sequence[Path] = field(default=())
    device_name: str = "auto"
    page: bool = False
    language_name: str | None = None

    @property
    def name(self) -> str:
        """See `Host`."""
        return "standalone"

    def home(self) -> Path:
        """See `Host`."""
        return home_dir()

    def outputs(self) -> Path:
        """See `Host`."""
        return self.home() / "outputs"

    def model_folders(self) -> tuple[Path, ...]:
        """See `Host`."""
        return existing(tuple(self.extra_model_folders))

    def fetch_dir(self) -> Path:
        """See `Host`."""
        chosen = os.environ.get("FACEPICK_FETCH_DIR")
        return Path(chosen) if chosen else self.home() / "models"

    def has_page(self) -> bool:
        """See `Host`."""
        return self.page or os.environ.get("FACEPICK_PAGE") == "1"

    def input_roots(self) -> tuple[Path, ...]:
        """See `Host`."""
        return tuple(self.roots)

    def device(self) -> str:
        """See `Host`."""
        return os.environ.get("FACEPICK_DEVICE") or self.device_name

    def can_unload(self) -> bool:
        """See `Host`."""
        return False

    def unload(self) -> bool:
        """See `Host`."""
        return True

    def can_load_back(self) -> bool:
        """See `Host`."""
        return False

    def load_back(self) -> bool:
        """See `Host`."""
        return True

    def language(self) -> str | None:
        """See `Host`."""
        return self.language_name

    def child_environment(self) -> dict[str, str]:
        """See `Host`."""
        return {
            "FACEPICK_HOME": str(self.home()),
            "FACEPICK_DEVICE": self.device(),
            "PYTHONPATH": python_path(),
            **model_environment(self),
        }
