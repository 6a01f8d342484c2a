"""The engines, by hand and in menu order; importing this module loads no engine's libraries."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from functools import cache

from facepick.engines.engine import Engine, Flow
from facepick.errors import DuplicateEngineError, SettingsError

__all__ = ["EngineRegistry", "default_registry"]

log = logging.getLogger("facepick.engines")


class EngineRegistry:
    """Engines by flow and id, in the order they were added.

    Args:
        engines: those to begin with.
        later: gives more when somebody asks for an engine for the first time: a scan, or a list
            of jobs, needs none, and to import them all takes a quarter of a second.
    """

    def __init__(
        self,
        engines: Iterable[Engine] = (),
        *,
        later: Callable[[EngineRegistry], None] | None = None,
    ) -> None:
        self._added: dict[tuple[str, str], Engine] = {}
        self._later, self._lock = later, threading.RLock()
        for engine in engines:
            self.add(engine)

    @property
    def _engines(self) -> dict[tuple[str, str], Engine]:
        with self._lock:
            if self._later is not None:
                fill, self._later = self._later, None
                fill(self)
            return self._added

    def add(self, engine: Engine) -> None:
        """Add an engine.

        Raises:
            DuplicateEngineError; the registry is unchanged.
        """
        key = (engine.spec.flow, engine.spec.id)
        if key in self._engines:
            raise DuplicateEngineError(f"There already is a {key[0]} engine called {key[1]!r}.")
        self._engines[key] = engine

    def of_flow(self, flow: Flow) -> tuple[Engine, ...]:
        """List the engines of a flow, in menu order."""
        return tuple(e for (f, _), e in self._engines.items() if f == flow)

    def flows(self) -> tuple[Flow, ...]:
        """List the flows that have at least one engine."""
        return tuple(dict.fromkeys(e.spec.flow for e in self._engines.values()))

    def all(self) -> tuple[Engine, ...]:
        """List every engine, in menu order."""
        return tuple(self._engines.values())

    def get(self, flow: str, engine_id: str) -> Engine:
        """Find an engine.

        Raises:
            SettingsError, naming the engines there are.
        """
        try:
            return self._engines[flow, engine_id]
        except KeyError:
            known = ", ".join(i for f, i in self._engines if f == flow)
            if not known:
                flows = ", ".join(self.flows())
                raise SettingsError(
                    f"There is no flow {flow!r}.", hint=f"Flows: {flows}."
                ) from None
            raise SettingsError(
                f"There is no {flow} engine {engine_id!r}.", hint=f"Engines: {known}."
            ) from None


@cache
def default_registry() -> EngineRegistry:
    """Build the registry of the engines that come with facepick and of the user's guests."""
    return EngineRegistry(later=_fill)


def _fill(registry: EngineRegistry) -> None:
    from facepick.engines.guest.engine import GuestEngine
    from facepick.engines.guest.store import guests
    from facepick.engines.hide.engine import BlurEngine, CoverEngine, PixelateEngine
    from facepick.engines.lipsync.neural.edtalk import EdTalkEngine
    from facepick.engines.lipsync.neural.engine import Wav2LipEngine, Wav2LipGanEngine
    from facepick.engines.lipsync.rewrite.engine import RewriteEngine
    from facepick.engines.swap.mesh import MeshSwapEngine
    from facepick.engines.swap.neural import GhostEngine, HyperswapEngine, InswapperEngine

    for engine in (
        PixelateEngine(),
        BlurEngine(),
        CoverEngine(),
        RewriteEngine(),
        Wav2LipEngine(),
        Wav2LipGanEngine(),
        EdTalkEngine(),
        MeshSwapEngine(),
        InswapperEngine(),
        InswapperEngine.half(),
        HyperswapEngine(),
        GhostEngine(),
    ):
        registry.add(engine)
    for guest in guests():
        try:
            registry.add(GuestEngine(guest))
        except DuplicateEngineError as error:
            log.warning("The guest engine %s is left out: %s", guest.name, error.sentence())
