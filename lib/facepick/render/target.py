"""Target of a render: where a result may be written without losing anything of the user's."""

from __future__ import annotations

import os
from pathlib import Path

from facepick.errors import UserInputError
from facepick.media.encode import container_of
from facepick.render.plan import RenderPlan
from facepick.render.preview import PICTURES
from facepick.render.report import sidecar_of
from facepick.render.signing import check_signing, load_signing

__all__ = ["check_target"]


def check_target(
    out: Path, plan: RenderPlan, *, picture: bool = False, home: Path | None = None
) -> None:
    """Check that a result can be written to `out` without losing anything of the user's.

    Args:
        picture: it is a picture of one frame.
        home: folder with the settings of signing; that of the environment when None.

    Raises:
        UserInputError: no folder, a name that cannot be, or one of the files it is made of.
        SettingsError: facepick does not write files with this suffix, or they cannot hold what
            the encoder makes, or the audio codec that is asked for.
    """
    if picture and out.suffix.lower() not in PICTURES:
        raise UserInputError(
            f"A preview of one frame is a picture, which {out.name!r} does not name.",
            hint="Give a name that ends in .png or .jpg.",
        )
    if not picture:
        plan.encode.for_output(out)
        plan.encode.audio_encoder(container_of(out), lossless=False)
        if plan.output.provenance and plan.output.sign:
            check_signing(load_signing(home), out)
    try:
        if out.is_dir():
            raise UserInputError(f"{out} is a folder.", hint="Give a file name, such as out.mp4.")
        if not out.parent.is_dir():
            raise UserInputError(f"There is no folder {out.parent}.", hint="Make it first.")
        os.stat(sidecar_of(out))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise UserInputError(
            f"A result cannot be called {out.name[:80]!r} ({error.strerror}).",
            hint="Give it a shorter name.",
        ) from error
    if not os.access(out.parent, os.W_OK):
        raise UserInputError(
            f"Nothing can be written into {out.parent}.", hint="Choose another folder."
        )
    for name in (plan.video, *plan.files()):
        path = Path(name)
        if out.exists() and path.exists() and out.samefile(path):
            raise UserInputError(
                f"The result would overwrite {path.name}, which it is made of.",
                hint="Give another name with -o.",
            )
