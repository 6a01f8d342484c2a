"""Facade that the tab, the command line and HTTP call."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick.engines.registry import EngineRegistry, default_registry
from facepick.errors import UserInputError
from facepick.host.host import Host
from facepick.jobs.job import JobRecord
from facepick.jobs.resources import Resources
from facepick.jobs.runner import run_job, spawn
from facepick.jobs.standby import Standby
from facepick.jobs.workspace import Workspace, Workspaces
from facepick.models.store import ModelStore, default_store
from facepick.progress import CancelToken, ProgressSink, never, no_progress
from facepick.publishing import sweep

if TYPE_CHECKING:
    from facepick.cache import Entry, StorageSettings
    from facepick.doctor import Check, Readiness
    from facepick.engines.engine import EngineSpec
    from facepick.engines.swap.saved import SavedSources
    from facepick.jobs.batch import Episode, EpisodeResult, Template
    from facepick.jobs.batch_queue import BatchQueue
    from facepick.jobs.estimate import Estimate
    from facepick.jobs.executors import Spread
    from facepick.jobs.library_filling import Filled
    from facepick.jobs.work_folder import WorkFolder
    from facepick.media.picture import Picture
    from facepick.media.proxies import ProxyStore
    from facepick.media.video import VideoInfo
    from facepick.media.writer import EncodeSettings
    from facepick.models.memory import CardMemory
    from facepick.models.spec import ModelSpec
    from facepick.notices import Notice
    from facepick.people.edits import Add, Corrected, Edit
    from facepick.people.finder import ScanSettings
    from facepick.people.person import Person, Scan
    from facepick.recognition.cast import Cast
    from facepick.recognition.library import Appearance, Library
    from facepick.render.plan import Assignment, OutputSettings, RenderPlan
    from facepick.render.preflight import Preflight
    from facepick.render.signing import SigningSettings
    from facepick.speech.line import SpeechLine, Timings
    from facepick.speech.line_owners import GivenLines
    from facepick.speech.script import PersonSpan
    from facepick.speech.speaker_edits import SpeakerEdit
    from facepick.speech.speakers import Speakers
    from facepick.speech.spoken import SpokenLines

__all__ = ["SEPARATOR_VARIABLE", "TTS_VARIABLE", "App"]

SEPARATOR_VARIABLE = "FACEPICK_SEPARATOR"
"""Environment variable that names the separator where nothing else does."""

TTS_VARIABLE = "FACEPICK_TTS"
"""Environment variable with the command that speaks lines, where nothing else names one."""

# Of as many files as users have open at once.
_FACTS_KEPT = 200


class App:
    """facepick as a whole, in one host.

    Methods that take long come in two kinds: those that do the work here and now and report to
    `progress`, and the ``start_...`` ones, which hand it to a child process and give the job's
    record at once.

    Args:
        host: the program around facepick; None for the standalone one.
        registry: the engines; None for those that come with facepick.

    >>> from facepick import App
    >>> scan = App().find_people("interview.mp4")
    >>> [(person.id, person.frames) for person in scan.people]
    [('P1', 150), ('P2', 100)]
    """

    def __init__(self, host: Host | None = None, *, registry: EngineRegistry | None = None) -> None:
        if host is None:
            from facepick.host.standalone import StandaloneHost

            host = StandaloneHost()
        self.host = host
        self.registry = registry or default_registry()
        self.models: ModelStore = default_store(
            host.model_folders(), fetch_dir=host.fetch_dir(), page=host.has_page()
        )
        self.jobs_folder = Workspaces(host.home() / "jobs")
        self._facts: dict[tuple[str, int, int], VideoInfo] = {}
        self.separator: str | None = os.environ.get(SEPARATOR_VARIABLE) or None
        """What takes voices out of the original: an ONNX file or a command, see
        `facepick.render.separation`.  Never from a plan, which may come from a stranger."""
        named = os.environ.get(TTS_VARIABLE)
        self.tts: tuple[str, ...] = (named,) if named else ()
        """Commands that speak lines without sound, ``[NAME=]COMMAND`` each, see
        `facepick.speech.spoken`.  Never from a plan or a list of lines."""
        self._standby = Standby()
        # What a killed process left beside a user's files.
        sweep(host.home())

    @property
    def cache(self) -> Path:
        """Folder of cached scans and of the edits made to them."""
        return self.host.home() / "cache"

    @property
    def cast_file(self) -> Path:
        """The people that every scan of this host knows by name."""
        return self.host.home() / "cast.sqlite"

    def resources(self) -> Resources:
        """Collect what a job works with."""
        return Resources(
            registry=self.registry,
            models=self.models,
            cache=self.cache,
            cast=self.cast_file,
            device=self.host.device(),
        )

    # --- model files -----------------------------------------------------------------------

    def missing_models(self, ids: Sequence[str] | None = None) -> list[ModelSpec]:
        """List those of the named model files that are not on this machine.

        Args:
            ids: names in the catalogue; None for what the default settings need.

        Raises:
            UserInputError: there is no such model.
        """
        from facepick.models.catalog import default_specs, spec_by_id

        specs = default_specs() if ids is None else [spec_by_id(name) for name in ids]
        return [spec for spec in specs if self.models.find(spec) is None]

    def start_fetch(self, ids: Sequence[str], *, owner: str = "") -> JobRecord:
        """Fetch model files in a child process; what is here already is not fetched again.

        Raises:
            UserInputError: there is no such model, or none is named.
            MissingModelError: one of them cannot be fetched: the user must bring it.
        """
        from facepick.models.catalog import spec_by_id

        specs = [spec_by_id(name) for name in dict.fromkeys(ids)]
        if not specs:
            raise UserInputError("No model is named.")
        for spec in specs:
            if not spec.can_fetch:
                self.models.require(spec)
        return self.start(
            self.jobs_folder.new(
                "fetch",
                video="",
                out=None,
                request={"models": [spec.id for spec in specs]},
                owner=owner,
            )
        )

    # --- looking ---------------------------------------------------------------------------

    def probe(self, path: str | Path) -> VideoInfo:
        """Probe a video.

        Raises:
            VideoOpenError.
        """
        from facepick.media.probe import probe

        return probe(Path(path))

    def facts(self, path: str | Path) -> VideoInfo:
        """Probe a file that strangers hand in, by a child process.

        Kept for as long as the file has the same size and time of change.

        Raises:
            VideoOpenError.
        """
        from facepick.media.probe import guarded_probe

        try:
            state = os.stat(path)
        except (OSError, ValueError):
            return guarded_probe(path)
        key = (str(path), state.st_size, state.st_mtime_ns)
        if key not in self._facts:
            found = guarded_probe(path)
            while len(self._facts) >= _FACTS_KEPT:
                self._facts.pop(next(iter(self._facts)), None)
            self._facts[key] = found
        return self._facts[key]

    def preflight(
        self,
        plan: RenderPlan,
        out: str | Path,
        *,
        force: bool = False,
        given: Collection[str] = (),
        listen: bool = True,
        picture: bool = False,
    ) -> Preflight:
        """Check all that a job would fail with, as far as it is known before the scan: target,
        inputs, models, consent.

        Args:
            out, force: as for `new_render_job`.
            given: names of output settings that were asked for, whatever their value.
            listen: also read the video's head and all speech, and tell what of it cannot be heard
                or used; without it of speech the first block is read.
            picture: the result is a picture of one frame.

        Raises:
            What `new_render_job` raises; VideoOpenError of the video, too.
        """
        from facepick.render.preflight import Preflight, check_files
        from facepick.render.separation import check_separator
        from facepick.render.voice_disguise import check_disguise

        info = self.probe(plan.video) if listen else None
        path = self._check_target(plan, out, force, picture=picture)
        if plan.takes_voices_out:
            check_separator(self.separator)
        plan.validate_inputs(self.registry)
        check_disguise(plan)
        told = () if info is None else self._notices(plan, info, given)
        check_files(plan, self.registry, self.models)
        return Preflight(plan=plan, out=path, video=info, notices=told)

    def _check_target(
        self, plan: RenderPlan, out: str | Path, force: bool, *, picture: bool = False
    ) -> Path:
        from facepick.render.publish import refuse_existing
        from facepick.render.target import check_target

        path = Path(out).absolute()
        check_target(path, plan, picture=picture, home=self.host.home())
        refuse_existing(path, force=force)
        return path

    def _notices(
        self, plan: RenderPlan, info: VideoInfo, given: Collection[str]
    ) -> tuple[Notice, ...]:
        """Note what can be said of a plan before the video is looked through.

        Of speech that the video is too short for this goes by the length that the file declares;
        a render says it exactly.
        """
        from facepick.render.notices import cut_notices, sound_notices, speech_notices
        from facepick.render.sound import unheard_speech

        told = speech_notices(plan, self.registry)
        if info.duration_seconds is None:
            return told
        return (
            *told,
            *sound_notices(plan, info.duration_seconds, has_sound=bool(info.audio), given=given),
            *cut_notices(unheard_speech(plan, info.duration_seconds)),
        )

    def find_people(
        self,
        path: str | Path,
        settings: ScanSettings | None = None,
        *,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> Scan:
        """Find everyone in the video, with the user's edits applied; cached by content and
        settings.

        Raises:
            VideoOpenError, MissingModelError, Cancelled.
        """
        from facepick.jobs.preparation import scan_video
        from facepick.people.finder import ScanSettings
        from facepick.settings import to_mapping

        values = to_mapping(settings or ScanSettings())
        found = scan_video(Path(path), values, self.resources(), progress, cancel)
        self.trim_cache()
        return found

    def who_speaks(
        self,
        scan: Scan,
        lines: Sequence[PersonSpan] | None = None,
        *,
        num_speakers: int | None = None,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> Speakers:
        """Find out who speaks when from the video's own sound, with the user's corrections.

        What is seen and heard is kept by content: the second time takes no time.  Voices of people
        of the cast are known from other videos, and those of this one are added to the cast.

        Args:
            lines: whose speakers are asked for; None for one turn a stretch of speech.
            num_speakers: how many voices there are, if that is known.

        Raises:
            VideoOpenError, MissingModelError, Cancelled.
        """
        from facepick.recognition.cast_voices import CastVoices
        from facepick.speech.known_voices import MODEL
        from facepick.speech.video_speakers import speakers_of_video

        kept = CastVoices(self.cast_file, MODEL)
        found, owned = speakers_of_video(
            scan,
            lines,
            models=self.models,
            cache=self.cache,
            num_speakers=num_speakers,
            known=kept.known(but=scan.content_hash),
            progress=progress,
            cancel=cancel,
        )
        kept.keep(owned, source=scan.content_hash)
        return found

    def set_speakers(self, scan: Scan, edits: Sequence[SpeakerEdit]) -> Path | None:
        """Keep what the user says of who speaks; gives where unreadable older ones went."""
        from facepick.speech.speaker_edits import add_edits

        return add_edits(self.cache, scan, edits)

    def speaker(self) -> SpokenLines | None:
        """Make what speaks lines that have no sound; None without a command.

        Raises:
            UserInputError: `tts` holds something that is no command.
        """
        from facepick.speech.spoken import SPOKEN, SpokenLines, Voices

        voices = Voices.parse(self.tts)
        return SpokenLines(voices=voices, folder=self.cache / SPOKEN) if voices else None

    def edit_people(self, scan: Scan, edit: Edit) -> Scan:
        """Merge, split, rename or ignore; kept, so that it survives a re-scan.

        Raises:
            SelectionError: the edit names somebody who is not there, or would make two people
                of the same frame one.
        """
        from facepick.people.edits import add_edit

        return add_edit(self.cache, scan, edit)

    def person_by_photo(self, scan: Scan, photo: Path) -> Person:
        """Find the person of a video who is in a photo.

        Raises:
            UserInputError, NoFacesFound: the photo cannot be read, or shows nobody.
            SelectionError: it shows several, or nobody of the video, or more than one, may be the
                one; the sentence says who.
        """
        from facepick.recognition.by_photo import person_by_photo

        return person_by_photo(scan, photo, models=self.models)

    def frame_at(self, scan: Scan, seconds: float) -> int:
        """Find the frame that is on screen at a second of the video.

        Raises:
            UserInputError: the video is over by then.
        """
        times = (scan.pts - scan.pts[0]) * float(scan.video.time_base)
        end = times[-1] + scan.duration_pts * float(scan.video.time_base)
        if not 0 <= seconds < end:
            raise UserInputError(f"The video lasts {end:.2f} s; {seconds:g} s is outside.")
        return int(times.searchsorted(seconds + 1e-6, side="right")) - 1

    def follow(
        self,
        scan: Scan,
        seconds: float,
        box: tuple[float, float, float, float],
        *,
        to: str,
        cancel: CancelToken = never,
    ) -> Add:
        """Follow a box drawn by hand; the edit that it gives is for `try_edits` or `edit`.

        Args:
            seconds: the moment at which it was drawn.
            box: x0, y0, x1, y1 in display pixels.
            to: id or name of the person; a name that nobody has is a new person's.

        Raises:
            UserInputError: the box or the moment lies outside of the video.
            VideoOpenError, Cancelled.
        """
        from facepick.faces.detection import Box
        from facepick.people.edits import Add
        from facepick.people.follow import follow_box

        width, height = scan.video.width, scan.video.height
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height) or min(x1 - x0, y1 - y0) < 4:
            raise UserInputError(
                f"The box {x0:g},{y0:g},{x1:g},{y1:g} is none in a picture of {width}x{height}.",
                hint="Give left, top, right and bottom in pixels.",
            )
        frame = self.frame_at(scan, seconds)
        return Add(rows=follow_box(scan, frame, Box(*box), cancel=cancel), to=to)

    def try_edits(self, scan: Scan, edits: Sequence[Edit], *, undo: bool = False) -> Corrected:
        """Try several edits, one after the other; `store_edits` keeps them, all or none.

        Raises what `facepick.people.edits.try_edits` raises.
        """
        from facepick.people.edits import try_edits

        return try_edits(self.cache, scan, edits, undo=undo)

    def store_edits(self, corrected: Corrected) -> Path | None:
        """Keep edits that were tried; gives where unreadable older ones were set aside."""
        from facepick.people.edits import store_edits

        return store_edits(self.cache, corrected)

    def corrections(self, scan: Scan) -> list[dict[str, Any]]:
        """Give the corrections of a video as plain JSON, oldest first."""
        from dataclasses import asdict

        from facepick.people.edits import load_edits

        return [asdict(edit) for edit in load_edits(self.cache, scan.content_hash)]

    def take_corrections(self, scan: Scan, entries: Sequence[Any]) -> None:
        """Put others in the place of a video's corrections; those before are set aside.

        Args:
            entries: as `corrections` gives them, perhaps by a stranger.

        Raises:
            UserInputError: they are no corrections.
        """
        from facepick.people.edits import replace_edits

        replace_edits(self.cache, scan.content_hash, entries)

    def edits_problem(self, scan: Scan) -> Notice | None:
        """Say why earlier corrections are not applied; None when they are."""
        from facepick.people.edits import edits_problem

        return edits_problem(self.cache, scan.content_hash)

    def undo_edit(self, scan: Scan) -> Scan:
        """Take the newest edit back; the same scan when there is none."""
        from facepick.people.edits import undo_edit

        return undo_edit(self.cache, scan)

    # --- known people ----------------------------------------------------------------------

    def cast(self) -> Cast:
        """Open the cast: the people that are known by name.

        Raises:
            UserInputError: the file is no cast.
        """
        from facepick.recognition.cast import Cast

        return Cast(self.cast_file)

    def known_names(self) -> tuple[str, ...]:
        """List names of the people that are known; none where the cast cannot be read."""
        try:
            return tuple(member.name for member in self.cast().members())
        except UserInputError:
            return ()

    def remember(self, scan: Scan, person_id: str, name: str) -> int:
        """Add the best faces of a person to the cast; later scans call them by this name.

        Returns:
            How many faces were new.

        Raises:
            SelectionError: there is no such person.
            UserInputError: the name is unusable, the person has no face good enough, or the cast
                is of another model.
        """
        from facepick.recognition.naming import add_from_scan

        return add_from_scan(self.cast(), name, scan, person_id)

    def explain_faces(self, a: Path, b: Path, sheet: Path) -> dict[str, Any]:
        """Compare two photos in a child process, with a sheet that explains it.

        Args:
            sheet: the picture of every step is written there; PNG or JPEG.

        Returns:
            What ``facepick explain --json`` prints: ``same``, ``metric``, ``distance``,
            ``threshold``, ``confidence``, ...

        Raises:
            UserInputError: a photo cannot be read, or shows nobody.
            MissingModelError: the recogniser is not here.
            ToolError: the comparison could not be made, or took too long.
        """
        from facepick.models.catalog import SFACE
        from facepick.recognition.child import explain_in_child

        self.models.require(SFACE)
        return explain_in_child(a, b, sheet, self.host.child_environment())

    # --- changing --------------------------------------------------------------------------

    def make_plan(
        self,
        video: str | Path,
        assignments: Sequence[Assignment],
        *,
        encode: EncodeSettings | None = None,
        output: OutputSettings | None = None,
        scan_settings: Mapping[str, Any] | None = None,
    ) -> RenderPlan:
        """Make a plan.

        Raises:
            UserInputError when there is no assignment.
        """
        from facepick.media.writer import EncodeSettings
        from facepick.render.plan import OutputSettings, RenderPlan

        return RenderPlan(
            video=str(Path(video).absolute()),
            assignments=tuple(assignments),
            encode=encode or EncodeSettings(),
            output=output or OutputSettings(),
            scan_settings=dict(scan_settings or {}),
        )

    @property
    def sources(self) -> SavedSources:
        """The source faces kept under a name."""
        from facepick.engines.swap.saved import SavedSources

        return SavedSources(self.host.home() / "sources")

    def source_photos(
        self,
        texts: Sequence[str],
        *,
        scan_settings: Mapping[str, Any] | None = None,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> list[tuple[Path, str]]:
        """List photo files, each with what it stands for, of what a user names as a source face.

        Args:
            texts: photos, ``VIDEO:P2``, ``cast:NAME`` or names of saved sources.
            scan_settings: how people of videos are found, plain JSON.

        Raises:
            UserInputError: there is no such thing, or no picture of the person can be used.
            MissingModelError: a video must be scanned and a model is not there.
            Cancelled.
        """
        from facepick.engines.swap.resolve import SourceResolver
        from facepick.jobs.preparation import scan_video

        resources = self.resources()
        resolver = SourceResolver(
            self.models,
            saved=self.sources,
            cast=self.cast_file,
            folder=self.cache / "sources",
            scan_of=lambda video: scan_video(
                video, scan_settings or {}, resources, progress, cancel
            ),
            cancel=cancel,
        )
        return resolver.photos(texts)

    def with_source_photos(
        self,
        plan: RenderPlan,
        *,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> RenderPlan:
        """Put photo files in the place of names in the plan: a job is made of files.

        Raises what `source_photos` raises.
        """
        from dataclasses import replace

        def photos(item: Assignment) -> tuple[str, ...]:
            found = self.source_photos(
                item.source, scan_settings=plan.scan_settings, progress=progress, cancel=cancel
            )
            return tuple(str(path) for path, _ in found)

        return replace(
            plan,
            assignments=tuple(
                replace(item, source=photos(item)) if item.source else item
                for item in plan.assignments
            ),
        )

    def source_faces(
        self,
        texts: Sequence[str],
        folder: Path,
        *,
        scan_settings: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Find every face of what a user names as a source, in a child process.

        Args:
            texts: as for `source_photos`; photos absolute.
            folder: the faces are written there.
            scan_settings: values that differ from the defaults.

        Returns:
            As `facepick.engines.swap.source_picker.faces_in_photos`.

        Raises:
            UserInputError: there is no such thing, or no picture of the person can be used.
            ToolError: a model is missing, or it took too long.
        """
        from facepick.child import json_command
        from facepick.people.finder import ScanSettings
        from facepick.settings import option_words

        # The folder is ours, and its pictures are numbered anew each time.
        words = ["sources", "faces", "--json", "--progress", "none", "--force"]
        words += ["--cut", str(folder)]
        words += option_words(ScanSettings, scan_settings or {})
        # A whole film may have to be read for its best frames: 60 min at 10 x real time is 6 min.
        found = json_command(
            [*words, "--", *texts],
            self.host.child_environment(),
            limit_seconds=900.0,
            what="The search for the face",
        )
        return list(found)

    def save_source(
        self, name: str, photos: Sequence[Path], *, face: int = 0, origins: Sequence[str] = ()
    ) -> None:
        """Keep photos of one person under a name, in a child process.

        Args:
            face: which face of each photo, as for `SavedSources.add`.
            origins: what each photo was made from; empty for the photos themselves.

        Raises:
            UserInputError: the name is no name or taken, or a photo cannot be used.
            ToolError: a model is missing, or it took too long.
        """
        from facepick.child import json_command

        words = ["sources", "add", "--json", "--progress", "none", f"--face={face}"]
        words += [f"--origin={origin}" for origin in origins]
        json_command(
            [*words, "--", name, *(str(photo.absolute()) for photo in photos)],
            self.host.child_environment(),
            limit_seconds=120.0,
            what="Keeping the face",
        )

    def new_scan_job(
        self,
        video: str | Path,
        *,
        settings: Mapping[str, Any] | None = None,
        speakers: Mapping[str, Any] | None = None,
        owner: str = "",
    ) -> Workspace:
        """Make a scan job that nobody works on yet.

        Args:
            speakers: given, it also finds who speaks, see `speakers_of_job`: ``lines`` and
                ``names``, the paths of a list and of its names, and ``num_speakers``, or None.
        """
        request: dict[str, Any] = {"settings": dict(settings or {})}
        if speakers is not None:
            request["speakers"] = dict(speakers)
        return self.jobs_folder.new(
            "scan", video=str(Path(video).absolute()), out=None, request=request, owner=owner
        )

    @property
    def proxies(self) -> ProxyStore:
        """Store of what players are given instead of users' own files."""
        from facepick.media.proxies import PROXIES, ProxyStore

        return ProxyStore(self.cache / PROXIES)

    def new_proxy_job(self, video: str | Path, *, owner: str = "") -> Workspace:
        """Make a job for the proxy of a video, which nobody works on yet."""
        path = str(Path(video).absolute())
        return self.jobs_folder.new("proxy", video=path, out=None, request={}, owner=owner)

    def new_render_job(
        self,
        plan: RenderPlan,
        out: str | Path,
        *,
        force: bool = False,
        update: Path | None = None,
        owner: str = "",
        notices: Sequence[Notice] = (),
        checked: Preflight | None = None,
        spread: Spread | None = None,
    ) -> Workspace:
        """Make a render job that nobody works on yet.

        Args:
            force: overwrite what lies at `out`, now or when the result is published.
            update: an earlier result, of which all that no change reaches is kept; `out` itself
                with `force`.
            notices: what was found out when the plan was made; told with the result.
            checked: what `preflight` found of just this; without it, it is asked here.
            spread: over which workers its segments are spread; None for none.

        Raises:
            TargetTaken: something lies at `out`, and `force` is not given.
            UserInputError, SettingsError: nothing can be written to `out`, or it is a file that
                the result is made of; what the plan needs is not there, or wrong.
            ConsentRequired.
            MissingModelError, ModelMismatchError, PackageMissing: a network cannot be used.
            VideoOpenError, NoAudioError: speech cannot be heard.
        """
        if checked is None:
            checked = self.preflight(plan, out, force=force, listen=False)
        return self.jobs_folder.new(
            "render",
            video=plan.video,
            out=str(Path(out).absolute()),
            request={
                "plan": plan.to_json(),
                "separator": self.separator,
                **({} if spread is None else {"spread": spread.to_json()}),
                "notices": self._known(plan, (*notices, *checked.notices)),
                **({"update": str(update.absolute())} if update else {}),
            },
            force=force,
            owner=owner,
        )

    def new_preview_job(
        self,
        plan: RenderPlan,
        out: str | Path,
        *,
        at: float | None = None,
        seconds: float = 3.0,
        force: bool = False,
        owner: str = "",
        notices: Sequence[Notice] = (),
        checked: Preflight | None = None,
    ) -> Workspace:
        """Make a preview job that nobody works on yet.

        Args:
            force: as for `new_render_job`.
            at: second at which it starts; None for the hardest frames of the picked people.
            notices, checked: as for `new_render_job`.

        Raises:
            UserInputError, SettingsError: as `new_render_job`, or it lasts too long.
        """
        if checked is None:
            checked = self.preflight(
                plan.unsigned(), out, force=force, listen=False, picture=seconds == 0
            )
        if not 0 <= seconds <= 60:
            raise UserInputError(f"A preview lasts between 0 and 60 seconds, not {seconds:g}.")
        return self.jobs_folder.new(
            "preview",
            video=plan.video,
            out=str(Path(out).absolute()),
            request={
                "plan": plan.to_json(),
                "at": at,
                "seconds": seconds,
                "separator": self.separator,
                "notices": self._known(plan, (*notices, *checked.notices)),
            },
            force=force,
            owner=owner,
        )

    def _known(self, plan: RenderPlan, notices: Sequence[Notice]) -> list[dict[str, Any]]:
        """Collect what a job can tell from its start.

        What was found out before, and what can be seen without a look into the files.
        """
        from facepick.notices import without_repeats
        from facepick.render.notices import speech_notices

        found = without_repeats((*notices, *speech_notices(plan, self.registry)))
        return [notice.to_json() for notice in found]

    def run(
        self,
        workspace: Workspace,
        *,
        progress: ProgressSink = no_progress,
        cancel: CancelToken | None = None,
    ) -> JobRecord:
        """Do a job in this process.  Raises what `facepick.jobs.runner.run_job` raises."""
        record = run_job(workspace, self.resources(), progress=progress, cancel=cancel)
        self.trim_cache()
        return record

    def render(
        self,
        plan: RenderPlan,
        out: str | Path,
        *,
        force: bool = False,
        progress: ProgressSink = no_progress,
        cancel: CancelToken | None = None,
    ) -> JobRecord:
        """Render in this process, as a job that can be resumed."""
        job = self.new_render_job(plan, out, force=force)
        return self.run(job, progress=progress, cancel=cancel)

    def preview(
        self,
        plan: RenderPlan,
        out: str | Path,
        *,
        at: float | None = None,
        seconds: float = 3.0,
        force: bool = False,
        progress: ProgressSink = no_progress,
        cancel: CancelToken | None = None,
    ) -> JobRecord:
        """Make a few seconds before and after, side by side, in this process.

        With 0 seconds it is one frame: before, after, and what was changed, as a picture.
        """
        job = self.new_preview_job(plan, out, at=at, seconds=seconds, force=force)
        return self.run(job, progress=progress, cancel=cancel)

    def work_folder(self, folder: Path, plan: RenderPlan) -> WorkFolder:
        """Open a folder in which several processes, on as many machines, render one plan.

        Args:
            plan: with its files where this machine sees them.
        """
        from facepick.jobs.work_folder import WorkFolder

        return WorkFolder(
            folder=folder.absolute(),
            plan=plan,
            resources=self.resources(),
            separator=self.separator,
        )

    # --- estimates -------------------------------------------------------------------------

    def stored_people(
        self, path: str | Path, scan_settings: Mapping[str, Any] | None = None
    ) -> Scan | None:
        """Load the people of a video that was searched before; None when it was not.

        Raises:
            VideoOpenError.
        """
        from facepick.jobs.preparation import corrected
        from facepick.people.finder import ScanSettings, stored_people
        from facepick.settings import from_mapping

        wanted = from_mapping(ScanSettings, scan_settings or {})
        found = stored_people(path, wanted, self.cache)
        return None if found is None else corrected(found, self.resources())

    def estimate(self, plan: RenderPlan, scan: Scan | None = None) -> Estimate:
        """Estimate minutes, disk and memory of a plan on this machine.

        Args:
            scan: its people, when they were found.

        Raises:
            VideoOpenError.
        """
        from facepick.jobs.estimate import estimate

        info = scan.video if scan is not None else self.probe(plan.video)
        return estimate(plan, info, scan, resources=self.resources(), folder=self.jobs_folder.root)

    def estimate_episode(self, episode: Episode, template: Template) -> Estimate | None:
        """Estimate what a template takes for one episode; None when there is nobody to change.

        Raises:
            VideoOpenError.
            SelectionError: it cannot be said who is meant.
        """
        from dataclasses import replace

        scan = self.stored_people(episode.video, template.plan.scan_settings)
        plan: RenderPlan | None = replace(template.plan, video=str(episode.video))
        if scan is not None:
            people = template.people(scan, self.person_by_photo)
            plan = template.for_episode(episode, scan, people)
        return None if plan is None else self.estimate(plan, scan)

    def calibrate(
        self,
        kinds: Sequence[str] = (),
        *,
        again: bool = False,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> None:
        """Do seconds of real work, so that estimates are of this machine; once is enough.

        Args:
            kinds: what is about to be done, as ``hide/blur``.
            again: forget what is known.

        Raises:
            MissingModelError, Cancelled.
        """
        from facepick.jobs.calibration import calibrate, is_calibrated
        from facepick.jobs.paces import PACES, Paces
        from facepick.paths import demo_clip, demo_speech

        resources = self.resources()
        if again:
            Paces(resources.cache / PACES).forget()
        elif is_calibrated(resources):
            return
        calibrate(resources, kinds, demo_clip(), demo_speech(), progress=progress, cancel=cancel)

    # --- a library -------------------------------------------------------------------------

    def library(self, path: Path | None = None) -> Library:
        """Open a library of faces; by default the user's own.

        Raises:
            UserInputError: the file is something else.
        """
        from facepick.recognition.library import Library

        return Library(path or self.host.home() / "library.sqlite")

    def fill_library(
        self,
        library: Library,
        videos: Sequence[Path],
        settings: ScanSettings | None = None,
        *,
        again: bool = False,
        at_once: int = 1,
        told: Callable[[Filled], None] = lambda _: None,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> list[Filled]:
        """Add videos to a library; see `facepick.jobs.library_filling.fill_library`.

        Args:
            videos: of `facepick.jobs.library_filling.find_videos`.
            at_once: how many videos at the same time; more than one in child processes.
        """
        from facepick.jobs.library_filling import fill_library, scan_in_child

        def scan(video: Path) -> Scan:
            if at_once > 1:
                scan_in_child(video, settings, self.host.child_environment(), cancel)
            return self.find_people(video, settings, progress=progress, cancel=cancel)

        return fill_library(
            library, videos, scan, again=again, at_once=at_once, told=told, cancel=cancel
        )

    def find_in_library(
        self,
        library: Library,
        who: Sequence[str],
        settings: ScanSettings | None = None,
        *,
        least_sure: float = 0.5,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> list[Appearance]:
        """Find where one person appears, surest first.

        Args:
            who: photos, ``VIDEO:P2``, ``cast:NAME``: all of one person.
            settings: how people of a video that is named are found.

        Raises:
            UserInputError: there is no such thing, or the library is empty or of another model.
            SelectionError: a photo shows several, or there is no such person.
            MissingModelError, Cancelled.
        """
        from facepick.recognition.library_query import describe

        # Before anything is scanned for a question that cannot be answered.
        library.threshold()
        asked = describe(
            who,
            library.key.model if library.key else "sface",
            models=self.models,
            cast=self.cast(),
            scan_of=lambda video: self.find_people(
                video, settings, progress=progress, cancel=cancel
            ),
        )
        return library.find(asked.rows, asked.key, least_sure=least_sure)

    # --- a season --------------------------------------------------------------------------

    def run_batch(
        self,
        episodes: Sequence[Episode],
        template: Template,
        *,
        jobs: int = 1,
        spread: Spread | None = None,
        force: bool = False,
        told: Callable[[EpisodeResult], None] = lambda _: None,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> list[EpisodeResult]:
        """Do a season of videos; see `facepick.jobs.batch_runner.run_batch`.

        Args:
            episodes: of `facepick.jobs.batch.find_episodes`.
        """
        from facepick.jobs.batch_runner import run_batch

        return run_batch(
            self,
            episodes,
            template,
            jobs=jobs,
            spread=spread,
            force=force,
            told=told,
            progress=progress,
            cancel=cancel,
        )

    @property
    def batches(self) -> BatchQueue:
        """Queue of batches that child processes work on, one after the other."""
        from facepick.jobs.batch_queue import BatchQueue

        return BatchQueue(self.host.home() / "batches", self.host.child_environment())

    def with_speech(
        self, plan: RenderPlan, episode: Episode, scan: Scan, *, cancel: CancelToken = never
    ) -> RenderPlan:
        """Give the lines and the dub that lie beside an episode to those whose lips shall move.

        Raises:
            SelectionError, UserInputError: lines or sound cannot be read, or whose they are is
                not known.
        """
        from dataclasses import replace
        from functools import partial

        from facepick.jobs.batch import WHOEVER
        from facepick.people.selection import Selection
        from facepick.speech.line import SpeechLine
        from facepick.speech.line_owners import give_lines
        from facepick.speech.script import read_script

        sound = episode.dub or episode.soundtrack
        if episode.lines is None:
            if any(item.selection.people == (WHOEVER,) for item in plan.assignments):
                raise UserInputError(
                    f"No lines lie beside {episode.video.name}, so nobody can be found for them.",
                    hint=f"Put {episode.video.stem}.srt there, or pick somebody: --person Anna.",
                )
            if episode.dub is None:
                silent = [
                    i for i in plan.assignments if i.flow == "lipsync" and not plan.lines_of(i)
                ]
                if silent:
                    stem = episode.video.stem
                    raise UserInputError(
                        f"No speech lies beside {episode.video.name}.",
                        hint=f"Put {stem}.wav there, or {stem}.srt and its sound.",
                    )
                return plan
            lines = (SpeechLine(path=str(episode.dub)),)
            moving = [a for a in plan.assignments if a.flow == "lipsync" and not a.speech]
            return replace(
                plan,
                assignments=tuple(
                    replace(a, speech=lines) if a in moving else a for a in plan.assignments
                ),
            )
        speaker = self.speaker() if sound is None else None
        script = read_script(episode.lines, audio=sound, speaks=speaker is not None)
        assignments: list[Assignment] = []
        for item in plan.assignments:
            if item.flow != "lipsync":
                assignments.append(item)
                continue
            found = give_lines(
                script,
                scan,
                () if item.selection.people == (WHOEVER,) else item.selection.people,
                known=self.known_names(),
                speakers_of=partial(self.who_speaks, scan, cancel=cancel),
            )
            unsure = item.selection.include_unsure
            for who, spoken in found.speakers:
                said = tuple(spoken)
                if speaker is not None:
                    said = speaker.fill(spoken, who, scan.person(who).name, cancel=cancel)
                picked = Selection((who,), unsure)
                assignments.append(replace(item, selection=picked, speech=said))
        return replace(plan, assignments=tuple(assignments))

    # --- what a page shows and asks ---------------------------------------------------------

    def allowed_path(self, name: str, *, folders: bool = False) -> Path:
        """Find a video that users of this host may open by its path.

        Args:
            folders: it may be a folder, too.

        Raises:
            UserInputError: there is none; the sentence does not say why.
        """
        from facepick.host.host import allowed_path

        return allowed_path(self.host, name, folders=folders)

    def can_play(self, video: Path) -> bool:
        """Tell whether browsers play a file as it is."""
        from facepick.media.proxy import playable_suffix

        return playable_suffix(video) is not None

    def picture(self, scan: Scan, frame: int) -> Picture:
        """Decode one frame of a scanned video.

        Raises:
            VideoOpenError: the file is gone or cannot be decoded any more.
        """
        from facepick.media.reader import VideoReader

        with VideoReader(scan.video.path) as reader:
            for found in reader.frames(start=frame, pts=scan.pts.tolist()):
                return found.picture
        raise AssertionError(f"frame {frame} is not in {scan}")

    def engine_lacks(self, spec: EngineSpec) -> list[ModelSpec]:
        """List the model files that an engine lacks on this machine."""
        from facepick.errors import FacepickError

        lacking = [model for model in spec.models if self.models.find(model) is None]
        if not lacking:
            return []
        # Some are also known by their content, whatever their name.
        try:
            self.registry.get(spec.flow, spec.id).preflight(spec.settings(), self.models)
        except FacepickError:
            return lacking
        return []

    def choice_lacks(self, choice: str) -> bool | None:
        """Tell whether a choice of a setting lacks its model file; None when it is no network."""
        from facepick.engines.restore.restorer import RESTORERS, spec_in_use
        from facepick.models.catalog import XSEG

        if choice == "xseg":
            return self.models.find(XSEG) is None
        # The first two are none, and one without a network.
        return spec_in_use(choice, self.models) is None if choice in RESTORERS[2:] else None

    def phones(self, times: Path, sound: Path) -> Timings:
        """Read when each phone of a sound is said.

        Raises:
            UserInputError: the file is of no known form, or is not about this sound.
        """
        from facepick.speech.timings import timings_of

        return timings_of(times, sound)

    def spoken_lines(
        self,
        lines: Path,
        scan: Scan,
        people: Sequence[str],
        *,
        audio: Path | None,
        length: str,
        told: Mapping[str, str] | None = None,
        by_sight: bool = False,
    ) -> GivenLines:
        """Read a list of lines and give each to its speaker.

        Args:
            lines: subtitles or JSON; the files that it names must lie beside it.
            people: who may speak.
            audio: the sound from which lines without one of their own are cut.
            length: what becomes of speech that is longer than the video (`OutputSettings.length`).
            told: what the user says of single lines, see `give_lines`.
            by_sight: whether the video is asked who speaks lines that name nobody; it takes long
                unless `who_speaks` was asked before.

        Raises what `read_script` and `give_lines` raise.
        """
        from functools import partial

        from facepick.media.timeline import KEEPS_LENGTH
        from facepick.render.sound import video_seconds
        from facepick.speech.line_owners import give_lines
        from facepick.speech.script import read_script

        script = read_script(lines, audio=audio, beside=True)
        # Where the result ends with the video, no line may begin later.
        end = float(video_seconds(scan)) if length in KEEPS_LENGTH else None
        return give_lines(
            script,
            scan,
            people,
            known=self.known_names(),
            end=end,
            speakers_of=partial(self.who_speaks, scan) if by_sight else None,
            told=told,
        )

    def names_everybody(self, lines: Path, scan: Scan) -> bool:
        """Tell whether every line of a list says whose it is.

        Raises what `read_script` raises.
        """
        from facepick.speech.script import read_script

        names = {name for person in scan.people for name in (person.id, person.name) if name}
        spans = read_script(lines, beside=True).spans([*names, *self.known_names()])
        return all(span.person for span in spans)

    def line_seconds(self, line: SpeechLine) -> float:
        """Tell how long a line is heard.  Raises what the decoding of its file raises."""
        from facepick.media.dub import line_seconds

        return float(line_seconds(line))

    def line_sound(self, line: SpeechLine) -> tuple[bytes, list[float]]:
        """Read a line to be played and drawn.

        Returns:
            A WAV file, 16 kHz mono, and its level by twentieths of a second, in [0, 1].

        Raises what the decoding of its file raises.
        """
        from facepick.speech.heard import line_sound

        return line_sound(line)

    def heard_notices(self, plan: RenderPlan, scan: Scan) -> tuple[Notice, ...]:
        """Note what people should know of the speech and sound of a plan before it is rendered."""
        from facepick.render.notices import (
            cut_notices,
            off_screen_notices,
            sound_notices,
            speech_notices,
        )
        from facepick.render.sound import unheard_speech, video_seconds

        seconds = video_seconds(scan)
        return (
            *speech_notices(plan, self.registry),
            *sound_notices(plan, seconds, has_sound=bool(scan.video.audio)),
            *cut_notices(unheard_speech(plan, seconds)),
            *off_screen_notices(plan.assignments, scan),
        )

    def report(self, result: Path) -> dict[str, Any]:
        """Read the report beside a result.

        Raises:
            UserInputError: there is none.
        """
        from facepick.render.report import read_report

        return read_report(result)

    def result_files(self, record: JobRecord) -> list[Path]:
        """List the result of a job, its review and its report, as far as they are there."""
        from facepick.render.report import review_of, sidecar_of

        out = Path(record.out or "")
        return [path for path in (out, review_of(out), sidecar_of(out)) if path.is_file()]

    def review_of_job(self, record: JobRecord) -> str | None:
        """Read the review of a job's result; None where there is none."""
        from facepick.render.report import is_review, review_of

        path = review_of(Path(record.out or "result"))
        try:
            return path.read_text(encoding="utf-8") if is_review(path) else None
        except (OSError, ValueError):
            return None

    def can_show_folder(self) -> bool:
        """Tell whether this machine has a desktop on which a folder can be opened."""
        from facepick.host.file_manager import can_show

        return can_show()

    def show_folder(self, path: Path) -> None:
        """Open the folder of a file on this machine's desktop.

        Raises:
            ToolError: there is no program that does it.
        """
        from facepick.errors import ToolError
        from facepick.host.file_manager import show

        try:
            show(path)
        except OSError as error:
            raise ToolError(
                f"The folder cannot be opened: {error}.", hint=f"Open it yourself: {path.parent}"
            ) from error

    def free_target(self, folder: Path, stem: str, suffix: str = ".mp4") -> Path:
        """Find a name ``STEM_001.mp4`` in a folder that no file has and no job will write."""
        from facepick.render.report import sidecar_of

        taken = {record.out for record in self.jobs()}
        number = 1
        while True:
            path = folder / f"{stem}_{number:03}{suffix}"
            free = not path.exists() and not sidecar_of(path).exists()
            if free and str(path.absolute()) not in taken:
                return path
            number += 1

    # --- jobs in child processes -----------------------------------------------------------

    def start(self, workspace: Workspace) -> JobRecord:
        """Hand a job to a child process, which begins when enough of those before it have ended.

        Raises:
            ToolError: too many wait.
        """
        workspace.mark_queued()
        waits = workspace.record().kind != "fetch"
        try:
            if waits:
                # In this process' name first, so that jobs wait in the order in which they are
                # handed over, and not in that in which their processes come up.
                workspace.line.enter(workspace.id, os.getpid())
            child = self._child_for(workspace)
        except BaseException:
            workspace.line.leave(workspace.id)
            workspace.mark_stopped()
            raise
        workspace.mark_child(child)
        if waits:
            workspace.line.hand_over(workspace.id, child)
        return workspace.record()

    def _child_for(self, workspace: Workspace) -> int:
        """Find or start the process that does a job.

        After the first frame others will be asked for, while a slider moves: a process is kept
        that has loaded everything by then.
        """
        record, environment = workspace.record(), self.host.child_environment()
        if record.kind != "preview" or record.request.get("seconds") != 0:
            return spawn(workspace, environment)
        child = self._standby.take(workspace.id, environment)
        if child is None:
            child = spawn(workspace, environment)
        self._standby.prepare(environment)
        return child

    def start_scan(
        self,
        video: str | Path,
        *,
        settings: Mapping[str, Any] | None = None,
        speakers: Mapping[str, Any] | None = None,
        owner: str = "",
    ) -> JobRecord:
        """Start a scan in a child process; arguments as of `new_scan_job`."""
        job = self.new_scan_job(video, settings=settings, speakers=speakers, owner=owner)
        return self.start(job)

    def start_proxy(self, video: str | Path, *, owner: str = "") -> JobRecord:
        """Start making the proxy of a video in a child process."""
        return self.start(self.new_proxy_job(video, owner=owner))

    def start_render(
        self,
        plan: RenderPlan,
        out: str | Path,
        *,
        owner: str = "",
        notices: Sequence[Notice] = (),
        update: Path | None = None,
    ) -> JobRecord:
        """Start a render in a child process."""
        return self.start(
            self.new_render_job(plan, out, owner=owner, notices=notices, update=update)
        )

    def start_preview(
        self,
        plan: RenderPlan,
        out: str | Path,
        *,
        at: float | None = None,
        seconds: float = 3.0,
        owner: str = "",
        notices: Sequence[Notice] = (),
    ) -> JobRecord:
        """Start a preview in a child process."""
        return self.start(
            self.new_preview_job(plan, out, at=at, seconds=seconds, owner=owner, notices=notices)
        )

    def card(self) -> CardMemory | None:
        """Read the memory of the graphics card that jobs run on; None where there is none."""
        from facepick.models.memory import card_memory

        if self.host.device() not in ("auto", "cuda"):
            return None
        return card_memory(environment={**os.environ, **self.host.child_environment()})

    def card_need(self, plan: RenderPlan) -> int:
        """Estimate how many bytes of a card the networks of a plan take; 0 when it has none."""
        from facepick.models.memory import estimated_need
        from facepick.settings import from_mapping

        specs = {}
        for item in plan.assignments:
            engine = self.registry.get(item.flow, item.engine)
            settings = from_mapping(engine.spec.settings, item.settings)
            specs.update({s.id: s for s in engine.models_in_use(settings, self.models)})
        files = [path for spec in specs.values() if (path := self.models.find(spec)) is not None]
        return estimated_need(path.stat().st_size for path in files) if files else 0

    def forget_job(self, job_id: str) -> None:
        """Remove a job that has ended; its result stays.

        Raises:
            JobNotFound.
        """
        workspace = self.jobs_folder.get(job_id)
        if not workspace.record().is_active:
            workspace.remove_if_idle()

    def jobs(self, *, owner: str | None = None) -> list[JobRecord]:
        """List all jobs, newest first; with `owner` only that user's."""
        return [r for r in self.jobs_folder.all() if owner is None or r.owner == owner]

    def job(self, job_id: str) -> JobRecord:
        """Find a job.

        Raises:
            JobNotFound.
        """
        return self.jobs_folder.get(job_id).record()

    def cancel_job(self, job_id: str, *, wait_seconds: float = 0.0) -> JobRecord:
        """Ask a job to stop; finished segments are kept.

        Args:
            wait_seconds: how long to wait for its process to end.

        Raises:
            JobNotFound.
        """
        workspace = self.jobs_folder.get(job_id)
        record = workspace.record()
        if record.state in ("queued", "interrupted"):
            workspace.ask_to_cancel()
            workspace.mark_stopped()
            workspace.line.leave(workspace.id)
        elif record.is_active:
            workspace.ask_to_cancel()
            until = time.monotonic() + wait_seconds
            while workspace.record().is_active and time.monotonic() < until:
                time.sleep(0.1)
        return workspace.record()

    def kept_frames(self, record: JobRecord) -> tuple[int, int]:
        """Count the frames that a stopped job has drawn and kept, and all it would have."""
        from facepick.render.made_of import drawn_frames

        return drawn_frames(record.folder)

    def move_job(self, job_id: str, place: int) -> JobRecord:
        """Move a job that waits to another place among those that wait, from 1.

        Raises:
            JobNotFound.
            JobConflict: it does not wait.
        """
        from facepick.errors import JobConflict

        workspace = self.jobs_folder.get(job_id)
        if not workspace.line.move(job_id, place):
            raise JobConflict(f"Job {job_id} does not wait.")
        return workspace.record()

    def resume_job(
        self, job_id: str, *, out: str | Path | None = None, force: bool = False
    ) -> JobRecord:
        """Go on with a stopped, failed or interrupted job in a child process.

        Raises what `resumable` raises.
        """
        return self.start(self.resumable(job_id, out=out, force=force))

    def resumable(
        self, job_id: str, *, out: str | Path | None = None, force: bool = False
    ) -> Workspace:
        """Open the workspace of a job that can go on.

        Args:
            out: where the result shall go instead.
            force: overwrite what lies there; a job that was made with it keeps it.

        Raises:
            JobNotFound, UserInputError: it runs or is done.
            TargetTaken: something lies where the result shall go.
        """
        workspace = self.jobs_folder.get(job_id)
        record = workspace.record()
        if not record.can_resume:
            raise UserInputError(
                f"Job {job_id} is {record.state} and cannot be resumed.",
                hint="See: facepick jobs list",
            )
        if out is not None or force:
            if record.out is None:
                raise UserInputError(f"Job {job_id} is a {record.kind} and writes no result.")
            # What was said of the old place does not hold for another one.
            force = force or (record.force and out is None)
            target = str(Path(out or record.out).absolute())
            from facepick.jobs.work import finished_of
            from facepick.render.plan import RenderPlan

            asked = RenderPlan.from_json(record.request["plan"])
            frame = record.kind == "preview" and record.request.get("seconds") == 0
            self._check_target(asked, target, force, picture=frame)
            finished = finished_of(workspace)
            if finished is not None:
                finished.check_suffix(Path(target))
            workspace.set_target(target, force=force)
        workspace.mark_queued()
        return workspace

    def scan_of_job(self, job_id: str) -> Scan:
        """Load the people found by a finished scan job, with the user's edits; nothing is scanned.

        Raises:
            JobNotFound.
            JobConflict: it is no finished scan, its stored scan was removed, or another video
                lies at its path by now.
        """
        from facepick.jobs.work import stored_scan

        return stored_scan(self.job(job_id), self.resources())

    def speakers_of_job(self, job_id: str, *, cancel: CancelToken = never) -> tuple[Scan, Speakers]:
        """Decide who speaks from what a finished scan job with ``speakers`` has observed.

        Raises:
            JobNotFound.
            JobConflict: it did not listen, or as for `scan_of_job`.
            UserInputError: its list of lines cannot be read by now.
        """
        from facepick.errors import JobConflict
        from facepick.speech.cue_names import with_names
        from facepick.speech.script import read_script

        asked = self.job(job_id).request.get("speakers")
        if asked is None:
            raise JobConflict(
                f"Job {job_id} did not find out who speaks.", hint="Ask for the speakers anew."
            )
        scan = self.scan_of_job(job_id)
        lines = None
        if asked.get("lines"):
            script = read_script(Path(asked["lines"]))
            if asked.get("names"):
                script = with_names(script, Path(asked["names"]))
            lines = script.spans(self.names_of(scan))
        found = self.who_speaks(
            scan, lines=lines, num_speakers=asked.get("num_speakers"), cancel=cancel
        )
        return scan, found

    def names_of(self, scan: Scan) -> list[str]:
        """List what the people of a video, and those of the cast, are called."""
        own = [name for p in scan.people for name in (p.id, p.name) if name]
        return [*own, *self.known_names()]

    # --- reading back, health ---------------------------------------------------------------

    def inspect(self, result: str | Path) -> dict[str, Any]:
        """Read what was changed in a result, from its sidecar, and check that the file is the same.

        Raises:
            UserInputError: there is no report.
        """
        from facepick.models.store import sha256_of
        from facepick.render.report import read_report

        path = Path(result)
        report = read_report(path)
        video = path.with_name(path.name.removesuffix(".facepick.json"))
        unchanged: bool | None = None
        if video.is_file():
            unchanged = sha256_of(video) == report["result"].get("sha256")
        return {**report, "unchanged_since": unchanged}

    def marks(self, video: str | Path) -> dict[str, Any]:
        """Read the marks of provenance that any file carries: its metadata and C2PA manifests.

        Returns:
            ``aigc``, ``aigc_before``, ``digital_source_type``, ``comment`` and ``c2pa``, each only
            where there is one; ``c2pa_unread`` says why manifests could not be looked for.

        Raises:
            UserInputError: there is no such file, or it is no video and has no manifest.
        """
        from facepick.errors import FacepickError, PackageMissing, VideoOpenError
        from facepick.media.marks import read_marks
        from facepick.render.signing import read_manifest

        path = Path(video)
        if not path.is_file():
            raise UserInputError(f"There is no file {path}.", hint="Check the path.")
        found: dict[str, Any] = {}
        try:
            manifest = read_manifest(path)
            if manifest is not None:
                found["c2pa"] = manifest
        except PackageMissing as error:
            found["c2pa_unread"] = error.sentence()
        except FacepickError as error:
            found["c2pa_unread"] = str(error)
        try:
            found.update(read_marks(path).to_json())
        except VideoOpenError:
            if "c2pa" not in found:
                raise
        return found

    def signing(self) -> SigningSettings:
        """Load how results are signed with C2PA."""
        from facepick.render.signing import load_signing

        return load_signing(self.host.home())

    def set_signing(self, settings: SigningSettings) -> None:
        """Keep how results are signed, once a trial shows that it works.

        Raises:
            UserInputError, PackageMissing: nothing can be signed so; nothing is kept.
        """
        from facepick.render.signing import save_signing

        save_signing(settings, self.host.home())

    def measure_sync(
        self,
        result: str | Path,
        *,
        plots: Path | None = None,
        force: bool = False,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> list[dict[str, Any]]:
        """Measure how well the lips of a result follow the new speech, person by person.

        The source and the speech must still lie where they were.

        Args:
            plots: a folder for one picture per person, or None.
            force: overwrite pictures there that facepick did not write.

        Raises:
            UserInputError: there is no report.
            VideoOpenError, NoAudioError: source, result or speech cannot be read.
            Cancelled.
        """
        from facepick.measure.lip_sync import measure_sync

        report, scan = self._rendered(result, progress, cancel)
        return measure_sync(
            Path(result),
            report,
            scan,
            models=self.models,
            plots=plots,
            force=force,
            progress=progress,
            cancel=cancel,
        )

    def measure_hidden(
        self,
        result: str | Path,
        *,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> list[dict[str, Any]]:
        """Find where a face like a hidden one is still seen in a result, person by person.

        The source must still lie where it was.  See `facepick.measure.hidden.measure_hidden`.

        Raises:
            UserInputError: there is no report.
            VideoOpenError: source or result cannot be read.
            MissingModelError, Cancelled.
        """
        from facepick.measure.hidden import measure_hidden

        report, scan = self._rendered(result, progress, cancel)
        return measure_hidden(
            Path(result), report, scan, models=self.models, progress=progress, cancel=cancel
        )

    def measure_swap(
        self,
        result: str | Path,
        *,
        plots: Path | None = None,
        force: bool = False,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> list[dict[str, Any]]:
        """Measure whose face a result shows and how well it sits, person by person.

        The source and the photos must still lie where they were.

        Args:
            plots: a folder for one picture per person, or None.
            force: overwrite pictures there that facepick did not write.

        Raises:
            UserInputError: there is no report, or a photo is gone.
            VideoOpenError: source or result cannot be read.
            MissingModelError, Cancelled.
        """
        from facepick.measure.swap import measure_swap

        report, scan = self._rendered(result, progress, cancel)
        return measure_swap(
            Path(result),
            report,
            scan,
            models=self.models,
            registry=self.registry,
            plots=plots,
            force=force,
            progress=progress,
            cancel=cancel,
        )

    def review(
        self,
        result: str | Path,
        *,
        language: str = "en",
        show_hidden: bool = False,
        progress: ProgressSink = no_progress,
        cancel: CancelToken = never,
    ) -> str:
        """Make the page on a result: what was done, how well, and what to look at.

        The source must still lie where it was.  See `facepick.review.page.review_page`.

        Raises:
            UserInputError: there is no report, or it is damaged.
            VideoOpenError: source or result cannot be read.
            MissingModelError, Cancelled.
        """
        from facepick.models.store import sha256_of
        from facepick.render.learned_store import LEARNED, LearnedStore
        from facepick.review.page import review_page

        path = Path(result)
        report, scan = self._rendered(path, progress, cancel)
        return review_page(
            path,
            report,
            report["frames"],
            scan,
            name=path.name,
            language=language,
            models=self.models,
            registry=self.registry,
            unchanged=sha256_of(path, cancel=cancel) == report["result"].get("sha256"),
            show_hidden=show_hidden,
            learnt=LearnedStore(self.resources().cache / LEARNED),
            progress=progress,
            cancel=cancel,
        )

    def _rendered(
        self, result: str | Path, progress: ProgressSink, cancel: CancelToken
    ) -> tuple[dict[str, Any], Scan]:
        """Load the report of a result and the scan that it was made from."""
        from facepick.jobs.preparation import scan_video
        from facepick.render.plan import RenderPlan
        from facepick.render.report import read_report

        report = read_report(Path(result))
        plan = RenderPlan.from_json(report["plan"])
        video = Path(plan.video)
        return report, scan_video(video, plan.scan_settings, self.resources(), progress, cancel)

    # --- what is kept ----------------------------------------------------------------------

    def storage_settings(self) -> StorageSettings:
        """Load what the user has set, or ``FACEPICK_CACHE_GB`` says."""
        from facepick.cache import load_settings

        return load_settings(self.host.home())

    def storage(self) -> dict[str, Any]:
        """Describe what lies in the home folder.

        ``kept`` (rows of id, count, bytes, how it is removed), ``limit_gb``, ``free_bytes``,
        ``home``.
        """
        import shutil

        from facepick.cache import KINDS, Cache, size_of

        home = self.host.home()
        cache = Cache(self.cache)
        entries = cache.entries()

        def row(name: str, sizes: Sequence[int], how: str) -> dict[str, Any]:
            return {"id": name, "count": len(sizes), "bytes": sum(sizes), "how": how}

        rows = [
            row(kind, [e.size for e in entries if e.kind == kind], "cache clear") for kind in KINDS
        ]
        rows.append(row("corrections", [size_of(p) for p in cache.corrections()], "-"))
        jobs = [size_of(record.folder) for record in self.jobs()]
        rows.append(row("jobs", jobs, "jobs prune"))
        saved = [size_of(self.sources.folder / name) for name in self.sources.names()]
        rows.append(row("sources", saved, "sources remove NAME"))
        home.mkdir(parents=True, exist_ok=True)
        return {
            "home": str(home),
            "kept": rows,
            "limit_gb": self.storage_settings().cache_limit_gb,
            "free_bytes": shutil.disk_usage(home).free,
        }

    def clear_cache(self, kinds: Sequence[str]) -> list[Entry]:
        """Remove what can be made again and no job needs; gives what is gone."""
        from facepick.cache import Cache, needed_by

        return Cache(self.cache).clear(kinds, keep=needed_by(self.jobs()))

    def trim_cache(self) -> list[Entry]:
        """Remove what was not used for longest beyond the limit; gives what is gone."""
        from facepick.cache import Cache, needed_by

        limit = self.storage_settings().cache_limit_gb
        if not limit:
            return []
        return Cache(self.cache).trim(int(limit * 1e9), keep=needed_by(self.jobs()))

    def set_cache_limit(self, limit_gb: Any) -> Path | None:
        """Keep a limit; gives where settings that cannot be read were set aside.

        Raises:
            SettingsError: it is no number, or outside the range.
        """
        from facepick.cache import StorageSettings, save_settings
        from facepick.settings import from_mapping

        settings = from_mapping(StorageSettings, {"cache_limit_gb": limit_gb})
        return save_settings(self.host.home(), settings)

    def doctor(self) -> list[Check]:
        """Check what is there and what is missing."""
        from facepick.doctor import run_checks

        return run_checks(self.models, home=self.host.home())

    def readiness(self, checks: Sequence[Check]) -> list[Readiness]:
        """Word what the doctor found, by flow."""
        from facepick.doctor import readiness

        return readiness(checks, self.registry.all(), self.models)
