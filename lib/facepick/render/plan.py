"""Plan of what is to be changed, immutable and plain JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from facepick.engines.engine import Engine, EngineSpec
from facepick.engines.registry import EngineRegistry
from facepick.errors import ConsentRequired, SelectionError, SettingsError, UserInputError
from facepick.files import read_json
from facepick.media.writer import EncodeSettings
from facepick.people.person import Person, Scan
from facepick.people.selection import Selection, with_strangers
from facepick.settings import fields_of, from_mapping, setting, to_mapping
from facepick.speech.line import SpeechLine, Timings
from facepick.speech.timings import timings_from_json, timings_of, timings_to_json

__all__ = ["Assignment", "OutputSettings", "RenderPlan"]

MAX_PLAN_BYTES = 16 * 2**20
"""10 000 lines of speech with their words are 3 MB."""

MAX_SECONDS = 24 * 3600
"""Speech may not begin or be cut later than this: a video that is made longer for it would fill
any memory."""

CONSENT_SENTENCE = "I have the right to use both faces in this way."


@dataclass(frozen=True, kw_only=True)
class OutputSettings:
    """Settings of the result's sound, length and marks of provenance."""

    original: str = setting(
        "replace",
        label="Original sound",
        help="replace: off where there is new speech, music too, and as it was elsewhere; duck: "
        "14 dB lower there; keep: beside it; mute: off everywhere.",
        choices=("replace", "duck", "keep", "mute"),
    )
    soundtrack: str | None = setting(
        None,
        label="Finished soundtrack",
        help="A finished mix: the sound of the result, sample by sample. The lips follow it, or "
        "the lines if there are any.",
        kind="file",
        advanced=True,
    )
    background: str | None = setting(
        None,
        label="Music and effects",
        help="A music-and-effects stem: heard over the whole length in place of the original, with "
        "the new speech over it.",
        kind="file",
        advanced=True,
    )
    separate: str = setting(
        "none",
        label="Separate",
        help="voices: make music and effects from the original, with a separator that you bring.",
        choices=("none", "voices"),
        advanced=True,
    )
    voice: str = setting(
        "keep",
        label="Voice of hidden people",
        help="disguise: who is hidden is heard in another voice, for good; what else sounds while "
        "they speak is changed with it.",
        choices=("keep", "disguise"),
    )
    length: str = setting(
        "cut",
        label="When the speech is longer",
        help="cut: stop the speech with the video; loop, bounce or freeze: make the video longer; "
        "silence: the length of the video, with silence after shorter speech; remap: play the "
        "picture evenly slower, or faster, to end with the speech.",
        choices=("cut", "loop", "bounce", "freeze", "silence", "remap"),
        advanced=True,
    )
    provenance: bool = setting(
        True,
        label="Write provenance",
        help="Marks the result as edited in its metadata and writes the report beside it.",
        advanced=True,
    )
    review: str = setting(
        "en",
        label="Review page",
        help="A page beside the result, in English or Chinese: what was done to whom, how well, "
        "and the moments to look at.",
        choices=("en", "zh", "off"),
        advanced=True,
    )
    sign: bool = setting(
        True,
        label="Sign with C2PA",
        help="Signs the result where a certificate is set (facepick sign); off leaves it unsigned.",
        advanced=True,
    )
    label_card: str = setting(
        "off",
        label="Visible AI label",
        help="Shows a label in a corner for the first two seconds, in English or Chinese.",
        choices=("off", "en", "zh"),
        advanced=True,
    )
    aigc_label: str = setting(
        "1",
        label="AIGC label",
        help="Field of GB 45438-2025 (China): 1 is generated, 2 may be, 3 is suspected to be.",
        choices=("1", "2", "3"),
        advanced=True,
    )
    content_producer: str | None = setting(
        None,
        label="AIGC producer",
        help="ContentProducer: name or code of whoever makes the video; facepick when empty.",
        advanced=True,
    )
    produce_id: str | None = setting(
        None,
        label="AIGC producer's number",
        help="ProduceID: the producer's own number of the video; the plan's hash when empty.",
        advanced=True,
    )
    reserved_code1: str | None = setting(
        None,
        label="AIGC producer's reserved code",
        help="ReservedCode1: the producer's own security data.",
        advanced=True,
    )
    content_propagator: str | None = setting(
        None,
        label="AIGC propagator",
        help="ContentPropagator: name or code of the service that spreads the video.",
        advanced=True,
    )
    propagate_id: str | None = setting(
        None,
        label="AIGC propagator's number",
        help="PropagateID: the spreading service's own number of the video.",
        advanced=True,
    )
    reserved_code2: str | None = setting(
        None,
        label="AIGC propagator's reserved code",
        help="ReservedCode2: the spreading service's own security data.",
        advanced=True,
    )


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One flow for one or several picked people.

    Attributes:
        selection: the people; nobody else is touched.
        flow, engine: as in the registry.
        settings: values that differ from the engine's defaults, plain JSON.
        speech: the new speech, for engines that need audio.
        source: files that show the source face, for engines that need one.
        consent: the user's statement of rights; a swap needs it.

    >>> from facepick import Assignment, Selection
    >>> hide = Assignment(selection=Selection(("P2",)), flow="hide", engine="pixelate")
    >>> hide.to_json()["people"]
    ['P2']
    """

    selection: Selection
    flow: str
    engine: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    speech: tuple[SpeechLine, ...] = ()
    source: tuple[str, ...] = ()
    consent: str | None = None

    def files(self) -> tuple[str, ...]:
        """List photos and speech that it is made of, by path."""
        return (*self.source, *(line.path for line in self.speech))

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON; `from_json` takes it back."""
        return {
            "people": list(self.selection.people),
            "include_unsure": self.selection.include_unsure,
            **(
                {"everyone_but": list(self.selection.everyone_but)}
                if self.selection.everyone_but
                else {}
            ),
            "flow": self.flow,
            "engine": self.engine,
            "settings": dict(self.settings),
            "speech": [_line_to_json(line) for line in self.speech],
            "source": list(self.source),
            "consent": self.consent,
        }

    @classmethod
    def from_json(cls, data: Any, *, open_file: Callable[[str], Path] | None = None) -> Assignment:
        """Read an assignment.

        Raises:
            UserInputError, naming the entry that is wrong.
        """
        entry = _Entry(data, "an assignment")
        people = entry.texts("people")
        if not people and isinstance(entry.data.get("person"), str):
            people = (entry.data["person"],)
        settings = entry.data.get("settings") or {}
        if not isinstance(settings, Mapping):
            raise UserInputError('"settings" of an assignment must be an object.')
        lines = entry.data.get("speech") or []
        if not isinstance(lines, list):
            raise UserInputError('"speech" of an assignment must be a list of lines.')
        return cls(
            selection=Selection(
                people,
                bool(entry.data.get("include_unsure", False)),
                entry.texts("everyone_but"),
            ),
            flow=entry.text("flow"),
            engine=entry.text("engine"),
            settings=dict(settings),
            speech=tuple(_line_from_json(line, open_file) for line in lines),
            source=entry.texts("source"),
            consent=entry.text("consent", None),
        )


@dataclass(frozen=True, kw_only=True)
class RenderPlan:
    """Everything the second pass needs to know; a segment depends on nothing else.

    Attributes:
        video: path of the source.
        content_hash: sha256 of the source, or "" until the scan knows it.
        assignments: applied in this order; a later one sees the pixels of an earlier one.
        encode: how the result is compressed.
        output: sound, length, marks of provenance.
        scan_settings: settings of the scan that found the people, plain JSON.
        start, stop: the part of the source that is rendered, in frames; stop None = to the end.

    >>> from facepick import Assignment, RenderPlan, Selection
    >>> hide = Assignment(selection=Selection(("P2",)), flow="hide", engine="pixelate")
    >>> plan = RenderPlan(video="interview.mp4", assignments=(hide,))
    >>> RenderPlan.from_json(plan.to_json()) == plan
    True
    """

    video: str
    content_hash: str = ""
    assignments: tuple[Assignment, ...]
    encode: EncodeSettings = field(default_factory=EncodeSettings)
    output: OutputSettings = field(default_factory=OutputSettings)
    scan_settings: Mapping[str, Any] = field(default_factory=dict)
    start: int = 0
    stop: int | None = None

    FORMAT = "facepick-plan/2"
    FORMATS = ("facepick-plan/1", FORMAT)

    def __post_init__(self) -> None:
        if not self.assignments:
            raise UserInputError(
                "Nothing is to be done.", hint="Pick a person and a flow: --person P1 --flow hide."
            )
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise UserInputError(f"The part [{self.start}, {self.stop}) holds no frame.")

    def validate(self, scan: Scan, registry: EngineRegistry) -> None:
        """Check the plan against the people found and the engines there are.

        Raises:
            SelectionError, SettingsError, ConsentRequired, UserInputError: one sentence each.
        """
        self.validate_inputs(registry)
        seen: dict[tuple[str, str], str] = {}
        for item in self.assignments:
            people = item.selection.resolve(scan)
            if len(people) > 1 and not item.speech and self.lines_of(item):
                raise _who_speaks()
            for person in people:
                key = (person.id, item.flow)
                if key in seen:
                    raise UserInputError(
                        f"{person.label} has the flow {item.flow} twice.",
                        hint="Give each person a flow once.",
                    )
                seen[key] = item.engine
        if self.start >= scan.frames:
            raise UserInputError(
                f"The part starts at frame {self.start}, but the video has {scan.frames} frames."
            )

    def validate_inputs(self, registry: EngineRegistry) -> None:
        """Check what can be checked before the video is looked through, which takes long.

        Raises:
            SettingsError, ConsentRequired, UserInputError: one sentence each.
        """
        for item in self.assignments:
            spec = registry.get(item.flow, item.engine).spec
            from_mapping(spec.settings, item.settings)
            if item.selection.everyone_but and item.flow != "hide":
                raise SelectionError(
                    "Only hiding can be done to everyone but some.",
                    hint="Take --flow hide, or pick people.",
                )
            _validate_inputs(item, spec, speaks=bool(self.lines_of(item)))
        follow = [item for item in self.assignments if not item.speech and self.lines_of(item)]
        if len(follow) > 1:
            raise _who_speaks()
        for name in (self.output.soundtrack, self.output.background):
            if name and not Path(name).is_file():
                raise UserInputError(f"There is no file {name}.", hint="Check the path.")

    def scan_of_all(self, scan: Scan) -> Scan:
        """Add what is nobody's to the people, where an assignment is for everyone but some."""
        every = any(item.selection.everyone_but for item in self.assignments)
        return with_strangers(scan) if every else scan

    def engines(
        self, scan: Scan, registry: EngineRegistry
    ) -> list[tuple[Assignment, Engine, Person]]:
        """List one entry for every assignment and person, in the order they are applied."""
        return [
            (item, registry.get(item.flow, item.engine), person)
            for item in self.assignments
            for person in item.selection.resolve(scan)
        ]

    def lines_of(self, item: Assignment) -> tuple[SpeechLine, ...]:
        """List what the lips of an assignment follow: its speech, else the finished soundtrack."""
        if item.speech or item.flow != "lipsync" or not self.output.soundtrack:
            return item.speech
        return (SpeechLine(path=self.output.soundtrack),)

    @property
    def has_speech(self) -> bool:
        """True when somebody gets new speech."""
        return any(self.lines_of(item) for item in self.assignments)

    @property
    def takes_voices_out(self) -> bool:
        """True when music and effects are to be made from the original, and would be heard."""
        output = self.output
        brought = output.soundtrack or output.background
        heard = output.original != "keep" and output.length != "remap"
        return output.separate == "voices" and self.has_speech and heard and not brought

    @property
    def disguises_voices(self) -> bool:
        """True when hidden people's voices are to be changed in a sound that would be heard."""
        output = self.output
        brought = output.soundtrack or output.background
        muted = output.original == "mute" and self.has_speech
        return output.voice == "disguise" and not brought and not muted

    def files(self) -> tuple[str, ...]:
        """List every photo and sound file that is used, each once."""
        own = (name for item in self.assignments for name in item.files())
        heard = (n for n in (self.output.soundtrack, self.output.background) if n)
        return tuple(dict.fromkeys((*own, *heard)))

    def unsigned(self) -> RenderPlan:
        """Copy the plan for what nobody publishes, such as a preview: it is not signed."""
        return replace(self, output=replace(self.output, sign=False))

    def moved(self, place: Callable[[str], str]) -> RenderPlan:
        """Move its video, speech and sound to where `place` says; not its sources."""

        def placed(name: str | None) -> str | None:
            return place(name) if name else None

        return replace(
            self,
            video=place(self.video),
            assignments=tuple(
                replace(item, speech=tuple(replace(s, path=place(s.path)) for s in item.speech))
                for item in self.assignments
            ),
            output=replace(
                self.output,
                soundtrack=placed(self.output.soundtrack),
                background=placed(self.output.background),
            ),
        )

    def input_files(self, registry: EngineRegistry) -> tuple[str, ...]:
        """List every file besides the video that the result is made of, those of settings too."""
        found = set(self.files())
        for item in self.assignments:
            settings = from_mapping(
                registry.get(item.flow, item.engine).spec.settings, item.settings
            )
            for entry in fields_of(settings):
                value = getattr(settings, entry.name)
                if entry.kind == "file" and value and Path(value).is_file():
                    found.add(str(value))
        return tuple(sorted(found))

    def part(self, start: int, stop: int | None) -> RenderPlan:
        """Cut the plan to a part of the video."""
        return replace(self, start=start, stop=stop)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON; `from_json` takes it back."""
        return {
            "format": self.FORMAT,
            "video": self.video,
            "content_hash": self.content_hash,
            "assignments": [item.to_json() for item in self.assignments],
            "encode": to_mapping(self.encode),
            "output": to_mapping(self.output),
            "scan_settings": dict(self.scan_settings),
            "start": self.start,
            "stop": self.stop,
        }

    @classmethod
    def from_json(cls, data: Any, *, open_file: Callable[[str], Path] | None = None) -> RenderPlan:
        """Read a plan from JSON, of this format or an older one.

        In ``facepick-plan/1`` the original was off over the whole length under ``replace``, which
        is ``mute`` today.

        Args:
            open_file: where a file that the plan names lies; given, times of phones are read and
                held against their sound at once.  Without it the plan is one of ours, in which
                they stand.

        Raises:
            UserInputError: it names the entry that is wrong.
            NoAudioError, VideoOpenError: times of phones are given for what has no sound.
        """
        entry = _Entry(data, "the plan")
        if entry.data.get("format") not in cls.FORMATS:
            raise UserInputError(
                f'The plan has the format {entry.data.get("format")!r}, not "{cls.FORMAT}".'
            )
        items = entry.data.get("assignments")
        if not isinstance(items, list):
            raise UserInputError('"assignments" of the plan must be a list.')
        stop = entry.data.get("stop")
        output = entry.mapping("output")
        if entry.data["format"] != cls.FORMAT and output.get("original", "replace") == "replace":
            output["original"] = "mute"
        return cls(
            video=entry.text("video"),
            content_hash=entry.text("content_hash", ""),
            assignments=tuple(Assignment.from_json(item, open_file=open_file) for item in items),
            encode=from_mapping(EncodeSettings, entry.mapping("encode")),
            output=from_mapping(OutputSettings, output),
            scan_settings=entry.mapping("scan_settings"),
            start=entry.number("start", 0),
            stop=None if stop is None else entry.number("stop", 0),
        )

    @classmethod
    def load(cls, path: Path, place: Callable[[str], str] = str) -> RenderPlan:
        """Read a plan file; relative paths in it are relative to the file.

        Args:
            place: says for a path of the plan where it lies on this machine; not for those in
                settings.

        A source may also be a name (of a saved source, ``cast:NAME``), which stays one; see
        `facepick.app.App.with_source_photos`.

        Raises:
            UserInputError: not there, not JSON, or not a plan.
        """
        from facepick.engines.swap.resolve import split_person

        try:
            data = read_json(path, max_bytes=MAX_PLAN_BYTES)
        except OSError as error:
            raise UserInputError(f"The plan {path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise UserInputError(f"The plan {path} is not JSON: {error}.") from error
        base = path.parent

        def rebased(name: str) -> str:
            return str(base / place(name))

        plan = cls.from_json(data, open_file=lambda name: Path(rebased(name))).moved(rebased)

        def rebased_source(name: str) -> str:
            there = rebased(name)
            return there if Path(there).is_file() or split_person(there) else name

        return replace(
            plan,
            assignments=tuple(
                replace(item, source=tuple(rebased_source(s) for s in item.source))
                for item in plan.assignments
            ),
        )


class _Entry:
    """A JSON object from outside, read with words for what is wrong."""

    def __init__(self, data: Any, what: str) -> None:
        if not isinstance(data, Mapping):
            raise UserInputError(f"{what} must be a JSON object, got {type(data).__name__}.")
        self.data = data
        self.what = what

    _REQUIRED = object()

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        value = self.data.get(key, None)
        if value is None and default is not self._REQUIRED:
            return default
        if not isinstance(value, str):
            raise UserInputError(f'"{key}" of {self.what} must be a text, got {value!r}.')
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.data.get(key) or []
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise UserInputError(f'"{key}" of {self.what} must be a list of texts.')
        return tuple(value)

    def number(self, key: str, default: int) -> int:
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserInputError(f'"{key}" of {self.what} must be a whole number, got {value!r}.')
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.data.get(key) or {}
        if not isinstance(value, Mapping):
            raise UserInputError(f'"{key}" of {self.what} must be an object.')
        return dict(value)


def _who_speaks() -> UserInputError:
    return UserInputError(
        "Several people are picked, and nothing says who of them speaks in the soundtrack.",
        hint="Give --lines with their names, or pick one person.",
    )


def _validate_inputs(item: Assignment, spec: EngineSpec, *, speaks: bool) -> None:
    if spec.needs_audio and not speaks:
        raise UserInputError(
            f"{spec.label} needs new speech.", hint="Give a sound file: --audio SPEECH.wav"
        )
    if spec.needs_source and not item.source:
        raise UserInputError(
            f"{spec.label} needs a source face.",
            hint="Give a photo: --source FACE.jpg",
        )
    for path in item.files():
        if not Path(path).is_file():
            raise UserInputError(f"There is no file {path}.", hint="Check the path.")
    if spec.needs_consent and not _says_something(item.consent or ""):
        raise ConsentRequired(
            "A face swap needs your statement that you have the right to use both faces.",
            hint=f'Add: --i-have-the-right "{CONSENT_SENTENCE}"',
        )


# Letters by their category that show nothing: the fillers of Hangul.
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0")


def _says_something(text: str) -> bool:
    """Tell whether a person can read a letter or digit in it; spaces of zero width say nothing."""
    return any(c.isalnum() and c not in _BLANK_LETTERS for c in text)


def _line_to_json(line: SpeechLine) -> dict[str, Any]:
    data = {
        "file": line.path,
        "start": line.start_seconds,
        "offset": line.offset_seconds,
        "duration": line.duration_seconds,
        "text": line.text,
    }
    if line.cue_seconds is not None:
        data["cue"] = line.cue_seconds
    if not line.drawn:
        data["drawn"] = False
    return data if line.phones is None else {**data, "phones": timings_to_json(line.phones)}


def _line_from_json(data: Any, open_file: Callable[[str], Path] | None) -> SpeechLine:
    entry = _Entry(data, "a speech line")
    numbers: dict[str, float | None] = {}
    for key, default in (
        ("start", 0.0), ("offset", 0.0), ("duration", None), ("cue", None),
    ):  # fmt: skip
        value = entry.data.get(key, default)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise SettingsError(f'"{key}" of a speech line must be seconds, got {value!r}.')
        if value is not None and not 0 <= value <= MAX_SECONDS:
            raise SettingsError(
                f'"{key}" of a speech line must be from 0 to {MAX_SECONDS} seconds, got {value!r}.'
            )
        numbers[key] = None if value is None else float(value)
    return SpeechLine(
        path=entry.text("file"),
        start_seconds=numbers["start"] or 0.0,
        offset_seconds=numbers["offset"] or 0.0,
        duration_seconds=numbers["duration"],
        text=entry.text("text", None),
        phones=_phones_from_json(entry, open_file),
        cue_seconds=numbers["cue"],
        drawn=entry.data.get("drawn", True) is not False,
    )


def _phones_from_json(entry: _Entry, open_file: Callable[[str], Path] | None) -> Timings | None:
    """Read times of phones: the name of a file, or what would be in it."""
    given = entry.data.get("phones")
    if given is None:
        return None
    if open_file is None:
        return timings_from_json(given)
    source = open_file(given) if isinstance(given, str) else given
    return timings_of(source, open_file(entry.text("file")))
