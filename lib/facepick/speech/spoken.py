"""Speech by a command: the words of a line given to a program that the user brings.

The program is run without a shell, once a line: the words come on its standard input, and ``{out}``
stands for the sound file that it shall write::

    piper --model en_US-amy-medium.onnx --output_file {out}
    espeak-ng --stdin -w {out}

A command comes from the command line or from ``FACEPICK_TTS``, never from a plan or a list of
lines: these may come from a stranger.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from facepick.errors import NoAudioError, ToolError, UserInputError, VideoOpenError
from facepick.files import replace as rename
from facepick.programs import run_program
from facepick.progress import CancelToken, ProgressMeter, ProgressSink, never, no_progress
from facepick.speech.line import SpeechLine
from facepick.speech.script import plain_name

__all__ = ["SPOKEN", "SpokenLines", "Voices"]

SPOKEN = "spoken"
"""Folder of the cache in which sounds are kept."""

TIMEOUT_SECONDS = 300.0
"""For one line: a large model takes a minute on a CPU, and another to be loaded."""

MAX_BYTES = 200 * 2**20
"""Ten minutes of stereo at 48 kHz in 24 bits are 173 MB."""

LEAST_SECONDS = 0.05

_HOW = 'Try it by hand: echo "Hello." | COMMAND, with a file name in the place of {out}.'


@dataclass(frozen=True, kw_only=True)
class Voices:
    """Commands that speak.

    Attributes:
        usual: for everybody without one of their own; empty when there is none.
        own: by the plain name or id of a person.
    """

    usual: tuple[str, ...] = ()
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Voices:
        """Read commands as they are written on the command line: ``[NAME=]COMMAND``.

        Raises:
            UserInputError: one is no command, or has no place for the sound.

        >>> Voices.parse(["say -o {out}", "Anna=espeak-ng --stdin -w {out}"]).own["anna"][0]
        'espeak-ng'
        """
        usual: tuple[str, ...] = ()
        own: dict[str, tuple[str, ...]] = {}
        for text in texts:
            name, equals, rest = text.partition("=")
            # What stands before the first "=" is a name unless a command has begun by then.
            if equals and name.strip() and not any(c.isspace() or c in "{}/\\" for c in name):
                own[plain_name(name)] = _command(rest)
            else:
                usual = _command(text)
        return cls(usual=usual, own=own)

    def __bool__(self) -> bool:
        return bool(self.usual or self.own)

    def of(self, *names: str | None) -> tuple[str, ...]:
        """Choose the command of whoever is called so.

        Raises:
            UserInputError: there is none for this person.
        """
        for name in names:
            if name and plain_name(name) in self.own:
                return self.own[plain_name(name)]
        if not self.usual:
            who = next((n for n in names if n), "somebody")
            raise UserInputError(
                f"No command speaks for {who}.", hint="Give one for everybody: --tts COMMAND."
            )
        return self.usual

    def any(self) -> tuple[str, ...]:
        """Choose a command to try: the usual one, else the first."""
        return self.usual or next(iter(self.own.values()))


def _command(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        raise UserInputError(
            f"The command that speaks cannot be read: {error}.", hint="Check its quotes."
        ) from error
    if not words or not any("{out}" in word for word in words):
        raise UserInputError(
            "The command that speaks names no file to write.",
            hint='Put {out} into it: --tts "espeak-ng --stdin -w {out}".',
        )
    return tuple(words)


@dataclass(frozen=True, kw_only=True)
class SpokenLines:
    """Sounds of lines, made by commands and kept by content.

    Attributes:
        voices: the commands.
        folder: where sounds are kept.
        timeout: seconds for one line.
    """

    voices: Voices
    folder: Path
    timeout: float = TIMEOUT_SECONDS

    def try_out(self, lines: Sequence[SpeechLine], *, cancel: CancelToken = never) -> Path | None:
        """Speak the first line that has no sound, to know that it can be done; None without one.

        Raises what `fill` raises.
        """
        first = next((line for line in lines if not line.path), None)
        if first is None:
            return None
        return self._spoken(first.text or "", self.voices.any(), cancel)

    def fill(
        self,
        lines: Sequence[SpeechLine],
        *names: str | None,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> tuple[SpeechLine, ...]:
        """Give every line that has no sound its own.

        Args:
            names: id and name of the person who says them.

        Raises:
            ToolError: the command is not there, failed, took too long or wrote no sound.
            UserInputError: there is none for this person.
            Cancelled.
        """
        meter = ProgressMeter(progress, "speak", len(lines))
        found = []
        for i, line in enumerate(lines):
            meter.update(i)
            if not line.path:
                path = self._spoken(line.text or "", self.voices.of(*names), cancel)
                line = replace(line, path=str(path))
            found.append(line)
        return tuple(found)

    def _spoken(self, words: str, command: Sequence[str], cancel: CancelToken) -> Path:
        made = self.folder / f"{_key(words, command)}.wav"
        if made.is_file():
            return made
        self.folder.mkdir(parents=True, exist_ok=True)
        program = Path(command[0]).name
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="part-") as work:
            out = Path(work) / "out.wav"
            run_program(
                [word.replace("{out}", str(out)) for word in command],
                what=f"The command that speaks ({program})",
                hint=_HOW,
                timeout=self.timeout,
                said=" ".join(words.split()) + "\n",
                cancel=cancel,
            )
            _check(out, program, words, cancel)
            rename(out, made)
        return made


def _key(words: str, command: Sequence[str]) -> str:
    """Digest what a sound is made of: words, command, and the files that it names."""
    files = []
    for word in command:
        try:
            facts = os.stat(word)
            files.append([facts.st_size, facts.st_mtime_ns])
        except (OSError, ValueError):
            files.append([])
    made_of = json.dumps([" ".join(words.split()), list(command), files])
    return hashlib.sha256(made_of.encode()).hexdigest()[:32]


def _check(out: Path, program: str, words: str, cancel: CancelToken) -> None:
    """Check that a file holds sound.

    Raises:
        ToolError: it does not.
    """
    from facepick.media.dub import line_seconds

    quoted = f"{words.strip()[:40]!r}"
    if not out.is_file() or out.is_symlink():
        raise ToolError(f"{program} has written no file for {quoted}.", hint=_HOW)
    if out.stat().st_size > MAX_BYTES:
        raise ToolError(f"{program} has written more than {MAX_BYTES >> 20} MB for {quoted}.")
    try:
        seconds = float(line_seconds(SpeechLine(path=str(out)), cancel=cancel))
    except (NoAudioError, VideoOpenError, UserInputError) as error:
        raise ToolError(f"{program} has written no sound for {quoted}.", hint=_HOW) from error
    if seconds < LEAST_SECONDS:
        raise ToolError(f"{program} has said nothing for {quoted}.", hint=_HOW)
