"""Guest engines: any program or service that makes one face speak, or swaps it.

A person's continuous stretches go out as clips (`facepick.engines.guest.pieces`) when the session
opens; what comes back is laid over that person alone, in the colours of the picture, behind what
is in front of the face, as the built-in engines' own drawings are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import FaceRequest
from facepick.engines.engine import Engine, EngineContext, EngineSession, EngineSpec
from facepick.engines.guest.call import check_guest
from facepick.engines.guest.cuts import cut_of
from facepick.engines.guest.description import GuestDescription
from facepick.engines.guest.pieces import MadePieces, make_pieces, plan_pieces
from facepick.engines.lipsync.neural.crop import FaceCut, warp_out
from facepick.engines.lipsync.neural.engine import DrawJob, MouthSession, mouth_gating
from facepick.engines.lipsync.neural.settings import MouthBlendSettings
from facepick.engines.lipsync.original_motion import output_sources, output_times
from facepick.engines.occlusion.masker import check_masker
from facepick.engines.occlusion.session import behind_occluders
from facepick.engines.restore.restorer import check_restorer, open_restorer, spec_in_use
from facepick.engines.swap.neural import DrawnChip, open_swap
from facepick.engines.swap.settings import NeuralSettings
from facepick.engines.swap.source import load_sources
from facepick.errors import UserInputError
from facepick.faces.detection import FloatArray
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore

__all__ = ["GuestEngine", "GuestMouthSettings", "GuestSwapSettings"]


@dataclass(frozen=True, kw_only=True)
class GuestMouthSettings(MouthBlendSettings):
    """Settings of a guest engine for lip sync."""


@dataclass(frozen=True, kw_only=True)
class GuestSwapSettings(NeuralSettings):
    """Settings of a guest engine for face swaps."""


class GuestEngine(Engine):
    """Engine that a user has described in a file.

    Args:
        guest: the description.
    """

    def __init__(self, guest: GuestDescription) -> None:
        self.guest = guest
        is_lipsync = guest.flow == "lipsync"
        self.spec = EngineSpec(
            id=guest.name,
            flow=guest.flow,
            label=guest.label,
            help=f"A guest: {guest.url or guest.command[0]} makes the face, facepick lays it in.",
            settings=GuestMouthSettings if is_lipsync else GuestSwapSettings,
            needs_mesh=True,
            prepares=("prepare",),
            needs_audio=is_lipsync,
            needs_source=not is_lipsync,
            needs_consent=not is_lipsync,
            shows_source_face=not is_lipsync,
            # Beyond what goes out, for what is compared around the mask.
            margin=max(0.8, guest.margin + 0.1),
            covers_gaps=not is_lipsync,
            licence=guest.licence,
            commercial_use=guest.commercial_use,
        )

    def preflight(self, settings: Any, models: ModelStore) -> None:
        """See `Engine`; also whether the program is there."""
        check_guest(self.guest)
        check_restorer(settings.restorer, models=models)
        check_masker(settings.occlusion, models)

    def models_in_use(self, settings: Any, models: ModelStore) -> tuple[ModelSpec, ...]:
        """See `Engine`."""
        restorer = spec_in_use(settings.restorer, models)
        return () if restorer is None else (restorer,)

    def open(self, context: EngineContext) -> EngineSession:
        """See `Engine`; has every clip made that is not there from an earlier try.

        Raises:
            ToolError: the guest failed, or gave something else than asked.
        """
        check_guest(self.guest)
        if self.guest.flow == "lipsync":
            return self._open_mouth(context)
        return self._open_face(context)

    def _open_mouth(self, context: EngineContext) -> EngineSession:
        if context.speech is None:
            raise UserInputError(
                "Lip sync needs speech.", hint="Give a sound file: --audio SPEECH.wav"
            )
        restorer = open_restorer(
            context.settings.restorer, models=context.models, device=context.device
        )
        gating = mouth_gating(context)
        times = output_times(context, output_sources(context))
        wanted = np.array([gating.at(float(time)).weight > 0 for time in times], bool)
        planned = plan_pieces(context, self.guest, wanted)
        made = make_pieces(context, self.guest, planned, speech=context.speech)
        session = _GuestMouthSession(context, self.guest, made, gating, restorer)
        return behind_occluders(session, context, part="mouth")

    def _open_face(self, context: EngineContext) -> EngineSession:
        sources = load_sources(
            context.source, context.models, face=context.settings.face, cancel=context.cancel
        )
        wanted = np.ones(context.frames, bool)
        planned = plan_pieces(context, self.guest, wanted)
        made = make_pieces(context, self.guest, planned, source=context.source[0])
        guest = self.guest

        def draw(request: FaceRequest) -> DrawnChip | None:
            side = made.side(request.frame)
            if side is None:
                return None
            cut = cut_of(guest, request, side)
            return DrawnChip(made.picture(request.frame), _crop_to_clip(cut))

        return open_swap(context, sources=sources, draw=draw)


def _crop_to_clip(cut: FaceCut) -> npt.NDArray[np.float64]:
    """Invert a cut: pixel centres of the crop to those of the clip, (2, 3) float64."""
    linear = np.linalg.inv(cut.to_crop[:, :2])
    matrix = np.column_stack([linear, -linear @ cut.to_crop[:, 2]])
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return matrix


class _GuestMouthSession(MouthSession):
    """Session that lays a guest's pictures over one person's mouth.

    Args:
        made: what the guest has drawn.
    """

    def __init__(
        self,
        context: EngineContext,
        guest: GuestDescription,
        made: MadePieces,
        gating: Any,
        restorer: Any,
    ) -> None:
        super().__init__(context, gating, restorer)
        self._guest, self._made = guest, made

    def report(self) -> dict[str, Any]:
        """Report as every drawn mouth does, and how many clips and frames the guest has made."""
        own = {"guest": self._guest.name, "clips": self._made.count, "drawn": len(self._made)}
        return {**own, **super().report()}

    def close(self) -> None:
        """See `EngineSession`."""
        self._made.close()
        super().close()

    def _cut(self, request: FaceRequest) -> FaceCut | None:
        side = self._made.side(request.frame)
        return None if side is None else cut_of(self._guest, request, side)

    def _draw(self, jobs: Sequence[DrawJob]) -> tuple[Sequence[FloatArray], Sequence[FloatArray]]:
        seen, drawn = [], []
        for job in jobs:
            picture = self._made.picture(job.request.frame)
            before = warp_out(job.request.crop, job.cut, side=picture.shape[0])
            seen.append(_planes(before))
            drawn.append(_planes(picture))
        return seen, drawn


def _planes(image: npt.NDArray[np.uint8]) -> FloatArray:
    """(3, h, w) float32 in [0, 1] of (h, w, 3) uint8."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255)
