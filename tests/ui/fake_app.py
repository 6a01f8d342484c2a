"""An `App` without models and child processes, for tests of the page itself.

Its people come from a ground-truth file, its thumbnails from the video; its jobs are threads that
count frames.  Everything it hands out is of the core's own types.
"""

from __future__ import annotations

import itertools
import json
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facepick.app import App
from facepick.engines.registry import EngineRegistry, default_registry
from facepick.errors import (
    Cancelled,
    FacepickError,
    JobNotFound,
    MissingModelError,
    UserInputError,
)
from facepick.host.standalone import StandaloneHost
from facepick.jobs.job import JobRecord
from facepick.jobs.workspace import Workspaces
from facepick.models.store import sha256_of
from facepick.notices import Notice
from facepick.people.edits import add_edit, apply_edits, edits_problem, load_edits
from facepick.people.person import Person, Scan
from facepick.people.track import FaceTrack
from facepick.progress import CancelToken, Progress
from facepick.shots.shot import Shot

__all__ = ["FakeApp", "FolderHost", "ground_truth_scan"]


@dataclass(frozen=True, kw_only=True)
class FolderHost(StandaloneHost):
    """A host whose data lie in a folder of the test."""

    folder: Path

    def home(self) -> Path:
        return self.folder

    held: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)

    def model_folders(self) -> tuple[Path, ...]:
        return ()

    def can_unload(self) -> bool:
        return bool(self.held)

    def unload(self) -> bool:
        if self.busy:
            return False
        self.taken.append(self.held.pop())
        return True

    def can_load_back(self) -> bool:
        return bool(self.taken)

    def load_back(self) -> bool:
        if self.busy:
            return False
        self.held.append(self.taken.pop())
        return True


class _NoModels:
    folders: tuple[Path, ...] = ()
    fetch_dir = Path("models")

    def find(self, spec: Any) -> Path | None:
        return None

    def require(self, spec: Any) -> Path:
        raise MissingModelError(f"{spec.file} is nowhere", hint=self.how_to_get(spec))

    def how_to_get(self, spec: Any) -> str:
        return f"Bring {spec.file}."


@dataclass
class FakeApp:
    """See the module.

    Attributes:
        folder: home of the host.
        truth: a ``media-gt/1`` file for every video that can be scanned, by file size.
        seconds_per_job: how long a job counts.
        starts: how many jobs were started, by kind.
        at_once: how many jobs count at the same time; the others wait.
        lacking: ids of model files that are missing until they are fetched; ``sface`` is needed
            by scans, others by what names them.
    """

    folder: Path
    truth: Mapping[int, Path]
    seconds_per_job: float = 1.2
    roots: tuple[Path, ...] = ()
    registry: EngineRegistry = field(default_factory=default_registry)
    starts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("scan", "render", "preview", "fetch", "proxy"), 0)
    )
    lacking: set[str] = field(default_factory=set)
    card_memory: Any = None
    need: int = 0
    at_once: int = 100

    def __post_init__(self) -> None:
        self.host = FolderHost(folder=self.folder, roots=self.roots)
        self.models = _NoModels()
        self._jobs: dict[str, JobRecord] = {}
        self._cancelled: set[str] = set()
        self._tokens: dict[str, CancelToken] = {}
        self._lock = threading.Lock()
        self._line: list[str] = []

    # --- estimates and batches: the core's own ---
    estimate = App.estimate
    resources = App.resources
    batches = App.batches

    @property
    def jobs_folder(self) -> Workspaces:
        return Workspaces(self.folder / "jobs")

    # --- model files ---
    def missing_models(self, ids: Any = None) -> list[Any]:
        from facepick.models.catalog import spec_by_id

        wanted = ("sface",) if ids is None else ids
        return [spec_by_id(name) for name in wanted if name in self.lacking]

    def start_fetch(self, ids: Any, *, owner: str = "") -> JobRecord:
        return self._start("fetch", "", None, {"models": list(ids)}, owner)

    # --- looking ---
    def probe(self, path: str | Path) -> Any:
        from facepick.media.probe import probe

        return probe(Path(path))

    facts = probe

    def _scan(self, video: str | Path) -> Scan:
        path = Path(video)
        truth = self.truth.get(path.stat().st_size)
        if truth is None:
            raise UserInputError(f"{path.name} has no ground truth.", hint="Take another clip.")
        folder = self.folder / "cache" / truth.stem
        scan = ground_truth_scan(self.probe(path), json.loads(truth.read_text()), folder)
        return apply_edits(scan, load_edits(self.folder / "cache", scan.content_hash))

    def scan_of_job(self, job_id: str) -> Scan:
        return self._scan(self.job(job_id).video)

    def edit_people(self, scan: Scan, edit: Any) -> Scan:
        return add_edit(self.folder / "cache", scan, edit)

    def person_by_photo(self, scan: Scan, photo: Path) -> Any:
        """Whoever is seen for the shortest time."""
        return scan.people[-1]

    def edits_problem(self, scan: Scan) -> Notice | None:
        return edits_problem(self.folder / "cache", scan.content_hash)

    def undo_edit(self, scan: Scan) -> Scan:
        # The core takes it back in the stored scan; here there is only the ground truth.
        file = next((self.folder / "cache").rglob("*edits*.json"), None)
        if file is not None:
            plain = json.loads(file.read_text())
            file.write_text(json.dumps({**plain, "edits": plain["edits"][:-1]}))
        return self._scan(scan.video.path)

    proxies = App.proxies
    allowed_path = App.allowed_path
    can_play = App.can_play
    picture = App.picture
    engine_lacks = App.engine_lacks
    choice_lacks = App.choice_lacks
    phones = App.phones
    spoken_lines = App.spoken_lines
    line_seconds = App.line_seconds
    line_sound = App.line_sound
    names_everybody = App.names_everybody
    review_of_job = App.review_of_job
    heard_notices = App.heard_notices
    report = App.report
    result_files = App.result_files
    kept_frames = App.kept_frames
    free_target = App.free_target
    can_show_folder = App.can_show_folder
    corrections = App.corrections
    take_corrections = App.take_corrections

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    # --- known people: the core's own, in the host's folder ---
    cast_file = App.cast_file
    cast = App.cast
    known_names = App.known_names
    remember = App.remember

    def explain_faces(self, a: Path, b: Path, sheet: Path) -> dict[str, Any]:
        """Two files are one person when they are the same."""
        import cv2

        same = a.read_bytes() == b.read_bytes()
        cv2.imwrite(str(sheet), np.full((40, 60, 3), 200, np.uint8))
        return {"same": same, "distance": 0.0 if same else 0.9, "threshold": 0.678}

    # --- source faces ---
    sources = App.sources

    def source_faces(self, texts: Any, folder: Path, *, scan_settings: Any = None) -> Any:
        """Photos are called by what they show: ``2faces_1small.png``, ``nobody.png``."""
        import cv2

        found = []
        for place, text in enumerate(texts):
            name = Path(text).name
            if "broken" in name:
                raise UserInputError(f"{name} is damaged.", hint="Use another picture.")
            good = int(name[0]) if name[0].isdigit() else 1 - ("nobody" in name)
            small = int("small" in name)
            faces = []
            for number in range(1, good + small + 1):
                image = folder / f"{place}_{number}.png"
                image.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(image), np.full((64, 64, 3), 60 * number, np.uint8))
                usable = number <= good
                faces.append(
                    {
                        "number": number, "height": 300 if usable else 40, "usable": usable,
                        "reason": "" if usable else "too_small",
                        "problem": "" if usable else f"The face in {name} is only 40 pixels high.",
                        "hint": "", "merit": 1.0 / number if usable else None,
                        "person": number if usable else None, "image": str(image),
                    }
                )  # fmt: skip
            found.append({"file": str(text), "from": str(text), "problem": "", "faces": faces})
        return found

    def save_source(self, name: str, photos: Any, *, face: int = 0, origins: Any = ()) -> None:
        """As the core keeps it, but whatever the photos show."""
        folder = self.sources.folder / name
        if self.sources.has(name):
            raise UserInputError(f"There is a source {name} already.", hint="Take another name.")
        folder.mkdir(parents=True)
        entries = []
        for number, (photo, origin) in enumerate(zip(photos, origins, strict=True), start=1):
            copy = folder / f"photo{number}.png"
            shutil.copyfile(photo, copy)
            entries.append({"file": copy.name, "sha256": sha256_of(copy), "from": origin})
        data = {"format": "facepick-source/1", "name": name, "created": "", "photos": entries}
        (folder / "source.json").write_text(json.dumps(data))

    # --- changing ---
    def make_plan(self, video: Any, assignments: Any, **options: Any) -> Any:
        from facepick.render.plan import RenderPlan

        given = {name: value for name, value in options.items() if value is not None}
        return RenderPlan(video=str(video), assignments=tuple(assignments), **given)

    def start_scan(self, video: Any, *, settings: Any = None, owner: str = "") -> JobRecord:
        return self._start("scan", str(video), None, {"settings": dict(settings or {})}, owner)

    def card(self) -> Any:
        return self.card_memory

    def card_need(self, plan: Any) -> int:
        return self.need

    def start_proxy(self, video: Any, *, owner: str = "") -> JobRecord:
        return self._start("proxy", str(video), None, {}, owner)

    def start_render(
        self, plan: Any, out: Any, *, owner: str = "", notices: Any = (), update: Any = None
    ) -> JobRecord:
        if "gfpgan" in self.lacking:
            raise MissingModelError("No gfpgan.", models=("gfpgan",))
        request = {
            "plan": plan.to_json(),
            "notices": [n.to_json() for n in notices],
            **({"update": str(update)} if update else {}),
        }
        return self._start("render", plan.video, str(out), request, owner)

    def start_preview(
        self,
        plan: Any,
        out: Any,
        *,
        at: Any = None,
        seconds: float = 3.0,
        owner: str = "",
        notices: Any = (),
    ) -> JobRecord:
        told = [n.to_json() for n in notices]
        request = {"plan": plan.to_json(), "at": at, "seconds": seconds, "notices": told}
        return self._start("preview", plan.video, str(out), request, owner)

    def _start(
        self, kind: Any, video: str, out: str | None, request: Mapping[str, Any], owner: str
    ) -> JobRecord:
        with self._lock:
            number = sum(self.starts.values()) + 1
            record = JobRecord(
                id=f"20260101-000000-{number:04x}", kind=kind, state="queued", video=video,
                out=out, request=request, created=time.time(), owner=owner,
                folder=self.folder / "jobs" / f"{number:04x}",
            )  # fmt: skip
            record.folder.mkdir(parents=True)
            self._jobs[record.id] = record
            self.starts[kind] += 1
        threading.Thread(target=self._work, args=(record.id,), daemon=True).start()
        return record

    def _make_proxy(self, job_id: str) -> None:
        token = self._tokens.setdefault(job_id, CancelToken())

        def tell(progress: Progress) -> None:
            self._jobs[job_id] = replace(self._jobs[job_id], state="running", progress=progress)

        record = self._jobs[job_id]
        try:
            made = self.proxies.make(Path(record.video), progress=tell, cancel=token)
        except Cancelled:
            self._jobs[job_id] = replace(record, state="stopped", exit_code=4)
        except FacepickError as error:
            self._jobs[job_id] = replace(
                record, state="failed", exit_code=error.exit_code, error=error.sentence()
            )
        else:
            self._jobs[job_id] = replace(
                record, state="done", exit_code=0, result={"out": str(made)}
            )

    def forget_job(self, job_id: str) -> None:
        if not self.job(job_id).is_active:
            del self._jobs[job_id]

    def _work(self, job_id: str) -> None:
        if self._jobs[job_id].kind == "proxy":
            self._make_proxy(job_id)
            return
        self._line.append(job_id)
        try:
            self._count(job_id)
        finally:
            self._line.remove(job_id)

    def move_job(self, job_id: str, place: int) -> JobRecord:
        waiting = self._line[self.at_once :]
        waiting.remove(job_id)
        waiting.insert(place - 1, job_id)
        self._line[self.at_once :] = waiting
        return self.job(job_id)

    def _placed(self, record: JobRecord) -> JobRecord:
        waiting = self._line[self.at_once :]
        place = waiting.index(record.id) + 1 if record.id in waiting else None
        return replace(record, place=place)

    def _count(self, job_id: str) -> None:
        while self._line.index(job_id) >= self.at_once and job_id not in self._cancelled:
            time.sleep(0.02)
        steps = 20
        for step in range(steps + 1):
            record = self._jobs[job_id]
            if job_id in self._cancelled:
                self._jobs[job_id] = replace(record, state="stopped", exit_code=4)
                return
            if record.kind == "scan" and "sface" in self.lacking:
                self._jobs[job_id] = replace(
                    record, state="failed", exit_code=3, error="No sface.", missing=("sface",)
                )
                return
            stage = {"scan": "scan", "fetch": "fetch"}.get(record.kind, "render")
            eta = self.seconds_per_job * (steps - step) / steps
            progress = Progress(stage=stage, done=step * 30, total=steps * 30, eta_seconds=eta)
            self._jobs[job_id] = replace(record, state="running", progress=progress)
            wake = time.monotonic() + self.seconds_per_job / steps
            while job_id not in self._cancelled and time.monotonic() < wake:
                time.sleep(min(0.02, self.seconds_per_job / steps))
        record = self._jobs[job_id]
        self.lacking -= set(record.request.get("models", ()))
        if record.out and record.request.get("seconds") == 0:
            import cv2

            cv2.imwrite(record.out, np.full((40, 120, 3), 128, np.uint8))
        elif record.out:
            shutil.copyfile(record.video, record.out)
            if record.kind == "render":
                _write_report(record, self._scan(record.video))
        self._jobs[job_id] = replace(record, state="done", exit_code=0)

    def jobs(self, *, owner: str | None = None) -> list[JobRecord]:
        found = [r for r in self._jobs.values() if owner is None or r.owner == owner]
        return [self._placed(record) for record in found[::-1]]

    def job(self, job_id: str) -> JobRecord:
        try:
            return self._placed(self._jobs[job_id])
        except KeyError:
            raise JobNotFound(f"There is no job {job_id!r}.") from None

    def cancel_job(self, job_id: str, *, wait_seconds: float = 0.0) -> JobRecord:
        self._cancelled.add(self.job(job_id).id)
        self._tokens.setdefault(job_id, CancelToken()).cancel()
        return self.job(job_id)

    def resume_job(self, job_id: str, *, out: Path | None = None) -> JobRecord:
        record = self.job(job_id)
        if out is not None:
            record = replace(record, out=str(out))
        self._cancelled.discard(job_id)
        self._jobs[job_id] = replace(record, state="queued")
        threading.Thread(target=self._work, args=(job_id,), daemon=True).start()
        return self._jobs[job_id]


def ground_truth_scan(video: Any, truth: Mapping[str, Any], folder: Path) -> Scan:
    """The scan that a perfect search would give; writes one thumbnail a person."""
    count = int(truth["n_frames"])
    fps = Fraction(truth["fps"]).limit_denominator(1001)
    step = round(1 / (fps * video.time_base))
    shots = tuple(
        Shot(i, int(s["start"]), int(s["stop"])) for i, s in enumerate(_shots(truth, count))
    )
    per_person: dict[str, dict[int, list[float]]] = {}
    for frame, entry in _faces(truth):
        if float(entry.get("visible", 1.0)) >= 0.5:
            per_person.setdefault(str(entry["id"]), {})[frame] = list(map(float, entry["box"]))
    order = sorted(per_person, key=lambda key: -len(per_person[key]))
    tracks, people = [], []
    for number, key in enumerate(order, 1):
        mine = []
        for shot in shots:
            frames = [f for f in sorted(per_person[key]) if shot.start <= f < shot.stop]
            if not frames:
                continue
            n = len(frames)
            boxes = np.array([per_person[key][f] for f in frames], np.float32)
            track = FaceTrack(
                id=f"T{len(tracks) + 1}", shot=shot.index, frames=np.array(frames, np.int32),
                boxes=boxes, landmarks5=np.repeat(boxes[:, None, :2], 5, axis=1),
                score=np.ones(n, np.float32), origin=np.zeros(n, np.uint8),
            )  # fmt: skip
            tracks.append(track)
            mine.append(track)
        name = f"P{number}_1.jpg"
        _thumbnail(video.path, max(mine, key=len), folder / name)
        people.append(
            Person(
                id=f"P{number}",
                track_ids=tuple(t.id for t in mine),
                exemplars=np.eye(128, dtype=np.float32)[[number]],
                frames=len(per_person[key]),
                screen_time=len(per_person[key]) / fps,
                confidence=0.97,
                thumbnails=(name,),
            )
        )
    return Scan(
        video=video, content_hash="0" * 64, pts=np.arange(count, dtype=np.int64) * step,
        duration_pts=step, shots=shots, tracks=tuple(tracks), people=tuple(people),
        folder=str(folder),
    )  # fmt: skip


def _shots(truth: Mapping[str, Any], count: int) -> list[dict[str, int]]:
    cuts = [int(c) for c in truth.get("cuts", ())]
    edges = sorted({0, count, *(c for c in cuts if 0 < c < count)})
    return [{"start": a, "stop": b} for a, b in itertools.pairwise(edges)]


def _faces(truth: Mapping[str, Any]) -> Any:
    for entry in truth["frames"]:
        for face in entry["faces"]:
            yield int(entry["i"]), face


# JPEGs by size of the video, frame and box: every copy of a clip has the same size.
_CUT_OUT: dict[tuple[float, ...], bytes] = {}


def _thumbnail(video: Path, track: FaceTrack, path: Path) -> None:
    import cv2

    from facepick.media.reader import VideoReader

    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    row = len(track) // 2
    index = int(track.frames[row])
    x0, y0, x1, y1 = map(float, track.boxes[row])
    key = (video.stat().st_size, index, x0, y0, x1, y1)
    if key not in _CUT_OUT:
        side = max(x1 - x0, y1 - y0) * 0.8
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        rows = slice(max(0, int(cy - side)), int(cy + side))
        columns = slice(max(0, int(cx - side)), int(cx + side))
        with VideoReader(video) as reader:
            image = next(f.picture.bgr() for f in reader.frames() if f.index == index)
        _CUT_OUT[key] = cv2.imencode(".jpg", image[rows, columns])[1].tobytes()
    path.write_bytes(_CUT_OUT[key])


def _write_report(record: JobRecord, scan: Scan) -> None:
    entries = []
    for item in record.request["plan"]["assignments"]:
        for person in item["people"]:
            frames = scan.person(person).frames
            entries.append(
                {
                    "id": person, "name": None, "confidence": 0.97, "flow": item["flow"],
                    "engine": item["engine"], "synthetic": False, "frames_changed": frames,
                    "frames_guessed": 0, "frames_left": {"absent": scan.frames - frames},
                    "measured": {},
                }
            )  # fmt: skip
    data = {
        "format": "facepick-report/1", "tool": {"name": "facepick", "version": "0"}, "created": "",
        "plan": record.request["plan"],
        "source": {"path": str(scan.video.path), "frames": scan.frames},
        "result": {"path": str(record.out)}, "people": entries, "frames": [],
    }  # fmt: skip
    Path(str(record.out) + ".facepick.json").write_text(json.dumps(data))
