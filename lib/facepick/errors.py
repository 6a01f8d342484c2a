"""Errors that facepick raises on purpose.

::

    Exception
    ├── Cancelled                     the user stopped the work                        exit 4
    └── FacepickError                 message + hint (what to do next)                 exit 5
        ├── UserInputError            the request is wrong                             exit 2
        │   ├── VideoOpenError        (also OSError) not a readable video
        │   ├── NoAudioError          an audio source was needed and there is none
        │   ├── NoFacesFound          nobody to pick
        │   ├── SelectionError        unknown or ambiguous person
    │   │   └── NotInVideo        nobody is anywhere near the one who was asked for
        │   ├── SettingsError         (also ValueError) a value outside its range
        │   ├── ConsentRequired       the statement of rights is missing
        │   ├── JobNotFound           no such job
        │   ├── JobConflict           the job is not in a state for it
        │   ├── TargetTaken           something lies where the result shall go
        │   └── SourceChanged         a file is not the one that it was when the work began
        ├── MissingModelError         a model file is not on this machine              exit 3
        ├── ModelMismatchError        the file is not what its name says               exit 3
        ├── ToolError                 an external tool                                 exit 3
        │   ├── FfmpegMissing
        │   ├── FfmpegFailed          carries argv, return code, end of the log
        │   └── PackageMissing        an optional Python package is not installed
        ├── OutOfMemory                                                                exit 5
        ├── EngineError               an engine broke its contract or failed           exit 5
        │   └── DuplicateEngineError  (also ValueError) registry left unchanged
        └── RenderError               decoding, encoding or publishing failed          exit 5
            └── DiskFull              there is less space than the work needs

``str(error)`` is one sentence; ``error.hint`` is the next step.  One place each turns them
into words for a person: ``cli.py`` (stderr and exit code), ``http_api.py`` (status code),
``facepick_ui/messages.py`` (the tab).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

__all__ = [
    "Cancelled",
    "ConsentRequired",
    "DiskFull",
    "DuplicateEngineError",
    "EngineError",
    "FacepickError",
    "FfmpegFailed",
    "FfmpegMissing",
    "JobConflict",
    "JobNotFound",
    "MissingModelError",
    "ModelMismatchError",
    "NoAudioError",
    "NoFacesFound",
    "NotInVideo",
    "OutOfMemory",
    "PackageMissing",
    "RenderError",
    "SelectionError",
    "SettingsError",
    "SourceChanged",
    "TargetTaken",
    "ToolError",
    "UserInputError",
    "VideoOpenError",
]


class Cancelled(Exception):
    """Stop that the user asked for. Not an error: nothing is wrong with the request."""

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str = "Stopped.") -> None:
        super().__init__(message)


class FacepickError(Exception):
    """Base of all errors that facepick explains to the user.

    Args:
        message: one sentence that says what is wrong, with the offending value in it.
        hint: one sentence that says what to do next; may be empty.
    """

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def sentence(self) -> str:
        """Join message and hint in one line, as the command line prints it."""
        text = f"{self.message} {self.hint}".strip()
        return " ".join(text.split())


class UserInputError(FacepickError):
    """Request that cannot be carried out as it was given."""

    exit_code: ClassVar[int] = 2


class VideoOpenError(UserInputError, OSError):
    """Video that is missing, is something else, or in which nothing can be decoded."""

    def __str__(self) -> str:
        return self.message


class NoAudioError(UserInputError):
    """Source without audio, from which audio was asked for."""


class NoFacesFound(UserInputError):
    """Video that holds nobody who could be picked."""


class SelectionError(UserInputError):
    """Person who was named and is not in this video."""


class NotInVideo(SelectionError):
    """Person who was asked for by a photo, and whom nobody in this video is like."""


class SettingsError(UserInputError, ValueError):
    """Setting that is unknown, of the wrong type or outside its range."""


class ConsentRequired(UserInputError):
    """Face swap that lacks the user's statement of rights."""


class JobNotFound(UserInputError):
    """Job id that nobody knows."""


class JobConflict(UserInputError):
    """Job that cannot give what is asked: it is not done, or what it has found is gone."""


class TargetTaken(UserInputError):
    """Place of a result where something lies that facepick may not overwrite."""


class SourceChanged(UserInputError):
    """Source file that is not the one that it was when the work began."""


class MissingModelError(FacepickError):
    """Model file that is needed and on none of the searched folders.

    Args:
        models: ids in the catalogue of what is missing; empty for files that it does not know.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str = "", models: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.models = tuple(models)


class ModelMismatchError(FacepickError):
    """Model file that does not hold what it should: wrong hash, wrong architecture, unsafe
    pickle."""

    exit_code: ClassVar[int] = 3


class ToolError(FacepickError):
    """Failure or absence of something outside facepick."""

    exit_code: ClassVar[int] = 3


class FfmpegMissing(ToolError):
    """Absence of an ffmpeg binary, the system's as well as that of imageio-ffmpeg."""


class FfmpegFailed(ToolError):
    """Failure of an ffmpeg process.

    Args:
        argv: the command that ran.
        returncode: its exit code.
        log_tail: the last lines that it printed.
    """

    def __init__(self, argv: Sequence[str], returncode: int, log_tail: str) -> None:
        last = log_tail.strip().splitlines()[-1:] or ["no message"]
        super().__init__(
            f"ffmpeg ended with code {returncode}: {last[0]}",
            hint="Check the input file, or try another format.",
        )
        self.argv = list(argv)
        self.returncode = returncode
        self.log_tail = log_tail


class PackageMissing(ToolError):
    """Absence of an optional Python package.

    Args:
        package: its name on PyPI.
        needed_for: what asked for it, as the end of a sentence ("the tab").
        extra: the extra of facepick that brings it, if one does.
    """

    def __init__(self, package: str, *, needed_for: str, extra: str = "") -> None:
        install = f"facepick[{extra}]" if extra else package
        super().__init__(
            f"The Python package {package} is needed for {needed_for} and is not installed.",
            hint=f'Install it with: pip install "{install}"',
        )
        self.package = package


class OutOfMemory(FacepickError):
    """Memory of the device or the machine that ran out."""


class EngineError(FacepickError):
    """Engine that failed or broke its contract."""


class DuplicateEngineError(EngineError, ValueError):
    """Id that two engines of one flow have; the registry is unchanged."""


class RenderError(FacepickError):
    """Video that could not be written."""


class DiskFull(RenderError):
    """Disk with less space than the work needs."""


def file_problem(path: Path | str, problem: str, *, hint: str = "") -> VideoOpenError:
    """Build the usual sentence about a file: its name, then what is wrong with it."""
    return VideoOpenError(f"{Path(path).name}: {problem}", hint=hint)
