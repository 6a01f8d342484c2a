"""Description of a guest engine: what it is given, how it is called, what it gives back."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from facepick.errors import PackageMissing, UserInputError
from facepick.files import read_plain

__all__ = ["PLACES", "GuestDescription", "parse_description", "read_description"]

MAX_BYTES = 64 * 1024
PLACES = ("video", "audio", "source", "out", "fps", "size")
"""Words that may stand in braces in a command."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, kw_only=True)
class GuestDescription:
    """Description of a guest engine.

    Attributes:
        name: id among the engines of its flow.
        label: name for people.
        licence: SPDX id or words, of program and weights.
        commercial_use: whether that licence allows it.
        flow: ``lipsync`` or ``swap``.
        crop: ``box``, a square that moves with the face and never turns; or ``aligned``, the face
            upright and centred as in FFHQ.
        size: side of the clip in pixels; 0 keeps the picture's own pixels (``box`` only).
        margin: of ``box``, how far it reaches past the face on each side, as a share of its size.
        fps: frames a second that the engine works at; 0 for whatever the video has.
        sound_rate: samples a second of the speech it is given.
        longest: seconds of the longest clip that it is given.
        extra_frames: how often the last frame is repeated at the end of a clip, for engines that
            give fewer frames than they are given; what comes back beyond the clip is dropped.
        container: ``mp4`` (H.264, RGB) or ``mkv`` (FFV1); both lossless.
        command: program and its words, run without a shell; see `PLACES`.
        url: address that is sent the files instead, as a form; answers with the video.
        headers: of that request; ``$NAME`` stands for an environment variable.
        timeout: seconds that one clip may take.
        environment: variables that the program is given beside `passed`; nothing else of ours.
        passed: names of our own variables that it gets, too.
        folder: working folder of the program.
    """

    name: str
    label: str
    licence: str
    commercial_use: bool = False
    flow: Literal["lipsync", "swap"]
    crop: Literal["box", "aligned"] = "box"
    size: int = 256
    margin: float = 0.4
    fps: float = 25.0
    sound_rate: int = 16_000
    longest: float = 10.0
    extra_frames: int = 0
    container: Literal["mp4", "mkv"] = "mp4"
    command: tuple[str, ...] = ()
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 1800.0
    environment: Mapping[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "USERPROFILE")
    folder: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise _wrong(
                f"{self.name!r:.60} is no name for an engine.",
                "Take small letters, digits, - and _, a letter first.",
            )
        for name in ("label", "licence"):
            if not 0 < len(getattr(self, name)) <= 200:
                raise _wrong(f'"{name}" must be said in 1 to 200 letters.')
        self._check_choices()
        self._check_numbers()
        self._check_call()

    def _check_choices(self) -> None:
        for name, choices in (
            ("flow", ("lipsync", "swap")),
            ("crop", ("box", "aligned")),
            ("container", ("mp4", "mkv")),
        ):
            if getattr(self, name) not in choices:
                raise _wrong(
                    f'"{name}" is {getattr(self, name)!r:.40}.', f"Take {' or '.join(choices)}."
                )

    def _check_numbers(self) -> None:
        for name, low, high in (
            ("size", 0, 4096),
            ("margin", 0.0, 3.0),
            ("fps", 0.0, 240.0),
            ("sound_rate", 8_000, 192_000),
            ("longest", 0.5, 3600.0),
            ("extra_frames", 0, 250),
            ("timeout", 1.0, 7 * 86_400.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise _wrong(f'"{name}" is {value:g}.', f"It must lie in {low:g} to {high:g}.")
        if 0 < self.size < 32:
            raise _wrong(f'"size" is {self.size}.', "Take 32 or more, or 0 for the video's own.")
        if self.crop == "aligned" and self.size == 0:
            raise _wrong('An aligned crop needs a "size".')
        if 0 < self.fps < 1:
            raise _wrong(f'"fps" is {self.fps:g}.', "Take 1 or more, or 0 for the video's own.")

    def _check_call(self) -> None:
        if bool(self.command) == bool(self.url):
            raise _wrong('Say how it is called: with "command" or with "url".')
        used = [place for word in self.command for place in _PLACE.findall(word)]
        unknown = next((place for place in used if place not in PLACES), None)
        if unknown is not None:
            known = ", ".join(f"{{{place}}}" for place in PLACES)
            raise _wrong(f"There is no place {{{unknown}}} in a command.", f"Places: {known}.")
        if self.command:
            needed = ("video", "audio", "out") if self.flow == "lipsync" else ("video", "out")
            for place in needed:
                if place not in used:
                    raise _wrong(f"The command has no place {{{place}}}.")
        if self.url:
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise _wrong(f'"url" is {self.url!r:.80}.', "Give an http or https address.")
        for name in (*self.environment, *self.passed):
            if not _VARIABLE.fullmatch(name):
                raise _wrong(f"{name!r:.40} is no name of a variable.")
        texts = (*self.command, *self.environment.values(), *self.headers, *self.headers.values())
        if any(ord(letter) < 32 for text in texts for letter in text):
            raise _wrong("Commands, headers and variables hold no line ends.")

    def argv(self, values: Mapping[str, str]) -> list[str]:
        """Put values into the places of the command."""
        return [_PLACE.sub(lambda m: values[m.group(1)], word) for word in self.command]

    def child_environment(self) -> dict[str, str]:
        """List the variables that the program gets."""
        own = {name: os.environ[name] for name in self.passed if name in os.environ}
        return {**own, **self.environment}


def _wrong(sentence: str, hint: str = "See docs/guests.md.") -> UserInputError:
    return UserInputError(sentence, hint=hint)


def read_description(path: Path, *, name: str | None = None) -> GuestDescription:
    """Read the TOML file of a guest engine.

    Args:
        name: of the engine; None for the file's own, without its suffix.

    Raises:
        UserInputError: the file cannot be read, or says something that cannot be.
    """
    try:
        text = read_plain(path, max_bytes=MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserInputError(f"There is no file {path}.", hint="Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(f"{path.name} cannot be read as text.") from error
    try:
        return parse_description(text, name=path.stem if name is None else name)
    except UserInputError as error:
        raise UserInputError(f"{path.name}: {error.message}", hint=error.hint) from error


def parse_description(text: str, *, name: str) -> GuestDescription:
    """Read the TOML text of a guest engine.

    Raises:
        UserInputError: it is no TOML, or says something that cannot be.
    """
    data = _toml(text)
    known = {f.name: f for f in fields(GuestDescription) if f.name != "name"}
    unknown = next((key for key in data if key not in known), None)
    if unknown is not None:
        raise _wrong(f"There is no {unknown!r:.40}.", f"Known: {', '.join(known)}.")
    values: dict[str, Any] = {}
    for key, value in data.items():
        values[key] = _typed(key, value)
    for key in ("label", "licence", "flow"):
        if key not in values:
            raise _wrong(f'"{key}" is missing.')
    return GuestDescription(name=name, **values)


def _toml(text: str) -> dict[str, Any]:
    """Parse TOML, or JSON for Python 3.10, which knows no TOML."""
    if text.lstrip().startswith("{"):
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError, RecursionError) as error:
            raise _wrong(f"It is not JSON: {error}.") from error
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    except ImportError as error:
        raise PackageMissing("tomli", needed_for="reading a guest engine's file") from error
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _wrong(f"It is not TOML: {error}.") from error


_TEXTS = ("label", "licence", "flow", "crop", "container", "url", "folder")
_WHOLE = ("size", "sound_rate", "extra_frames")
_LISTS = ("command", "passed")
_TABLES = ("headers", "environment")


def _typed(key: str, value: Any) -> Any:
    """Check the type of a value, and freeze lists.

    Raises:
        UserInputError: it is of another type.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _TEXTS:
        kind, right = "a text", isinstance(value, str)
    elif key in _WHOLE:
        kind, right = "a whole number", is_number and isinstance(value, int)
    elif key in _LISTS:
        kind = "a list of texts"
        right = isinstance(value, list) and all(isinstance(item, str) for item in value)
    elif key in _TABLES:
        kind = "a table of texts"
        right = isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    elif key == "commercial_use":
        kind, right = "true or false", isinstance(value, bool)
    else:
        kind, right = "a number", is_number
    if not right:
        raise _wrong(f'"{key}" must be {kind}, got {value!r:.40}.')
    return tuple(value) if isinstance(value, list) else value
