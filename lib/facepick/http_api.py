"""HTTP API: the same jobs as the command line, for other programs on this machine.

Routes live below ``/facepick/v1``.  Bodies and answers are JSON; errors are
``{"error": sentence}`` with status 400 (the request is wrong), 403 (a page of another site, see
`facepick.http_guard`), 404 (no such job or address), 405 (not with this method), 408 (broken off),
409 (not possible now), 413 (too large), 415 (not JSON) or 500.  Files are named by path and must
lie in a folder that the host allows (`facepick.host.host.allowed_path`); results are written below
the host's outputs.
What a missing model file stopped is answered with 409 and, in ``missing``, with every file's size,
licence, folder and whether ``/models/fetch`` gets it; jobs say so in ``missing``, too.
The source of a swap may also be the name of a saved one, ``cast:NAME`` or ``VIDEO:P2``; photos are
sent as base64 to ``/sources`` and kept under a name.
A lip sync may be asked for in the words of sync.so, see `facepick.http_speakers`.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facepick import __version__
from facepick.errors import (
    FacepickError,
    JobConflict,
    JobNotFound,
    MissingModelError,
    SourceChanged,
    TargetTaken,
    ToolError,
    UserInputError,
)
from facepick.files import parsed_json
from facepick.host.host import allowed_path
from facepick.http_batches import BatchWish, event_stream
from facepick.http_callbacks import Callbacks
from facepick.http_examples import EXAMPLES, Example
from facepick.http_guard import guarded_route
from facepick.http_library import estimated, found_in_library
from facepick.http_speakers import Wish, asked_speakers, correct_speakers, speakers_json
from facepick.models.catalog import all_specs, spec_by_id
from facepick.settings import fields_of, from_mapping, json_schema, to_mapping

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.engines.swap.saved import SavedSource
    from facepick.models.spec import ModelSpec
    from facepick.notices import Notice
    from facepick.render.plan import Assignment, RenderPlan

__all__ = ["PREFIX", "add_routes", "is_plain_name", "status_of"]

log = logging.getLogger("facepick.http")

PREFIX = "/facepick/v1"

MAX_VALUES = 1_000_000
"""Of a JSON body; a plan of 10,000 lines with their phones has a tenth."""

MAX_PHOTOS = 20
"""A texture hardly gains from more than five; base64 keeps them all in memory."""


def status_of(error: FacepickError) -> int:
    """Choose the HTTP status that tells a program what kind of error it is."""
    if isinstance(error, JobNotFound):
        return 404
    if isinstance(error, JobConflict | SourceChanged | TargetTaken):
        return 409
    if isinstance(error, UserInputError):
        return 400
    if isinstance(error, MissingModelError | ToolError):
        return 409
    return 500


# What Windows reserves, with any suffix, and the letters it has other uses for.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_UNUSABLE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')


def is_plain_name(name: str) -> bool:
    """Tell whether every system takes it as the name of a file in a folder of ours."""
    return not (
        _UNUSABLE.search(name)
        or _RESERVED.fullmatch(name)
        or name.strip(" .") != name
        or not 0 < len(name.encode("utf-8", "replace")) <= 200
        or any("\ud800" <= c <= "\udfff" for c in name)
    )


def _uploaded(data: Any, path: Path) -> Path:
    """Save a photo that was sent as base64; what it holds is checked by who reads it."""
    try:
        path.write_bytes(base64.b64decode(data, validate=True))
    except (TypeError, ValueError) as error:
        raise UserInputError('"photos" must be a list of photos in base64.') from error
    return path


def _saved(source: SavedSource) -> dict[str, Any]:
    """Describe a saved source without the paths of this machine."""
    return {"name": source.name, "photos": len(source.photos), "created": source.created}


class _Elsewhere:
    """ASGI application for what no route answers: any address below ours, any method.

    Args:
        routes: that there are.
    """

    def __init__(self, routes: Sequence[Any]) -> None:
        self._known = tuple(routes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from fastapi.responses import JSONResponse

        path, method = scope["path"], scope["method"]
        here = {m for r in self._known if r.path_regex.fullmatch(path) for m in r.methods}
        if here:
            methods = ", ".join(sorted(here))
            answer = JSONResponse(
                {"error": f"{method} is not possible here; use {methods}."},
                status_code=405,
                headers={"allow": methods},
            )
        else:
            answer = JSONResponse({"error": f"There is nothing at {path}."}, status_code=404)
        await answer(scope, receive, send)


_Payload = dict[str, Any]


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9


def _check_scan_settings(settings: Any) -> None:
    from facepick.people.finder import ScanSettings

    if not isinstance(settings, dict):
        raise UserInputError("Settings of a scan must be an object.")
    from_mapping(ScanSettings, settings)


class _Api:
    """Handlers of the API: each takes the fields of a request and gives plain JSON.

    Args:
        app: what the requests are carried out by.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.callbacks = Callbacks(app.host.home() / "callbacks", self.state_of)
        # Two requests at once must not choose the same name for their results.
        self._naming = threading.Lock()

    def about(self) -> Any:
        return {"name": "facepick", "version": __version__, "host": self.app.host.name}

    def engines(self) -> Any:
        return [
            {
                "id": e.spec.id,
                "flow": e.spec.flow,
                "label": e.spec.label,
                "help": e.spec.help,
                "needs_audio": e.spec.needs_audio,
                "needs_source": e.spec.needs_source,
                "settings": json_schema(e.spec.settings),
            }
            for e in self.app.registry.all()
        ]

    def models(self) -> Any:
        return [self._about_model(spec) for spec in all_specs()]

    def fetch_models(self, payload: _Payload) -> Any:
        ids = payload.get("models")
        if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
            raise UserInputError('"models" must be a list of ids; GET /models names them.')
        return self.app.start_fetch(ids).to_json()

    def start_scan(self, payload: _Payload) -> Any:
        settings = payload.get("settings") or {}
        _check_scan_settings(settings)
        name = payload.get("video")
        if not isinstance(name, str):
            raise UserInputError('"video" must be a path.')
        return self.app.start_scan(allowed_path(self.app.host, name), settings=settings).to_json()

    def start_speakers(self, payload: _Payload) -> Any:
        settings = payload.get("settings") or {}
        _check_scan_settings(settings)
        name = payload.get("video")
        if not isinstance(name, str):
            raise UserInputError('"video" must be a path.')
        video, asked = self._allowed(name), asked_speakers(payload, self._allowed)
        return self.app.start_scan(video, settings=settings, speakers=asked).to_json()

    def correct_speakers(self, payload: _Payload) -> Any:
        return correct_speakers(self.app, payload)

    def start_render(self, payload: _Payload) -> Any:
        plan, notices = self._asked(payload)
        with self._naming:
            job = self.app.new_render_job(plan, self._output_of(payload), notices=notices)
        return self.app.start(job).to_json()

    def start_preview(self, payload: _Payload) -> Any:
        at, seconds = payload.get("at"), payload.get("seconds", 3.0)
        if not (at is None or _is_time(at)) or not _is_time(seconds):
            raise UserInputError('"at" and "seconds" must be numbers, 0 or more.')
        plan, notices = self._asked(payload)
        with self._naming:
            job = self.app.new_preview_job(
                plan, self._output_of(payload), at=at, seconds=seconds, notices=notices
            )
        return self.app.start(job).to_json()

    def sources(self) -> Any:
        return [_saved(source) for source in self.app.sources.all()]

    def save_source(self, payload: _Payload) -> Any:
        name, photos = payload.get("name"), payload.get("photos")
        face = payload.get("face", 0)
        if not isinstance(name, str) or not isinstance(photos, list) or not photos:
            raise UserInputError('"name" must be a text and "photos" a list of photos in base64.')
        if isinstance(face, bool) or not isinstance(face, int) or face < 0:
            raise UserInputError('"face" must be a whole number from 0.')
        if len(photos) > MAX_PHOTOS:
            raise UserInputError(f"At most {MAX_PHOTOS} photos make a source.")
        with tempfile.TemporaryDirectory(prefix="facepick-") as folder:
            paths = [
                _uploaded(photo, Path(folder) / f"photo{number}")
                for number, photo in enumerate(photos, start=1)
            ]
            self.app.save_source(name, paths, face=face, origins=["upload"] * len(paths))
        return _saved(self.app.sources.get(name))

    def forget_source(self, payload: _Payload) -> Any:
        if not isinstance(payload.get("name"), str):
            raise UserInputError('"name" must be a text.')
        self.app.sources.remove(payload["name"])
        return {"removed": payload["name"]}

    def jobs(self) -> Any:
        return [record.to_json() for record in self.app.jobs()]

    def job(self, job_id: str) -> Any:
        return self.app.job(job_id).to_json()

    def people(self, job_id: str) -> Any:
        from facepick.people.export import people_json

        return people_json(self.app.scan_of_job(job_id))

    def speakers(self, job_id: str) -> Any:
        return speakers_json(self.app, job_id)

    def result(self, job_id: str) -> Any:
        from fastapi.responses import FileResponse

        record = self.app.job(job_id)
        if record.state != "done" or not record.out or not Path(record.out).is_file():
            raise JobNotFound(f"Job {job_id} has no result.")
        return FileResponse(record.out, filename=Path(record.out).name)

    def cancel(self, job_id: str) -> Any:
        return self.app.cancel_job(job_id).to_json()

    def move_job(self, payload: _Payload) -> Any:
        name, place = payload.get("job"), payload.get("place")
        if not isinstance(name, str) or isinstance(place, bool) or not isinstance(place, int):
            raise UserInputError('"job" must be an id and "place" a whole number from 1.')
        return self.app.move_job(name, place).to_json()

    def resume(self, job_id: str) -> Any:
        out = None
        with self._naming:
            wanted = self.app.job(job_id).out
            if wanted is not None and os.path.lexists(wanted):
                # Somebody has put a file there; the result gets another name.
                out = self._output_of({"name": Path(wanted).name})
            return self.app.resume_job(job_id, out=out).to_json()

    def start_batch(self, payload: _Payload) -> Any:
        from facepick.jobs.batch import find_episodes

        wish = BatchWish.read(payload)
        if not is_plain_name(wish.name):
            raise UserInputError('"name" must be a plain name, such as season-1.')
        out = self.app.host.outputs() / wish.name
        places = [allowed_path(self.app.host, name, folders=True) for name in wish.videos]
        episodes = find_episodes(places, out)
        # A link in an allowed folder may lead out of it.
        videos = [self._allowed(str(episode.video)) for episode in episodes]
        for episode in episodes:
            for path in episode.beside.values():
                self._allowed(str(path))
        plan = self._plan_of({"plan": {**wish.plan, "video": videos[0]}}, find=False)
        record = self.app.batches.add(videos, out, plan.to_json(), jobs=wish.jobs)
        return record.to_json()

    def estimate(self, payload: _Payload) -> Any:
        return estimated(self.app, self._plan_of(payload, find=False))

    def find_in_library(self, payload: _Payload) -> Any:
        return found_in_library(self.app, payload, self._allowed)

    def batches(self) -> Any:
        return [record.to_json() for record in self.app.batches.all()]

    def batch(self, batch_id: str) -> Any:
        return self.app.batches.get(batch_id).to_json()

    def cancel_batch(self, batch_id: str) -> Any:
        return self.app.batches.cancel(batch_id).to_json()

    def resume_batch(self, batch_id: str) -> Any:
        return self.app.batches.resume(batch_id).to_json()

    def move_batch(self, payload: _Payload) -> Any:
        name, place = payload.get("batch"), payload.get("place")
        if not isinstance(name, str) or isinstance(place, bool) or not isinstance(place, int):
            raise UserInputError('"batch" must be an id and "place" a whole number from 1.')
        return self.app.batches.move(name, place).to_json()

    def job_events(self, job_id: str) -> Any:
        return self._events("job", job_id)

    def batch_events(self, batch_id: str) -> Any:
        return self._events("batch", batch_id)

    def _events(self, kind: str, name: str) -> Any:
        from fastapi.responses import StreamingResponse

        self.state_of(kind, name)
        return StreamingResponse(
            event_stream(lambda: self.state_of(kind, name)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    def state_of(self, kind: str, name: str) -> tuple[dict[str, Any], bool]:
        """Describe a job or batch, and say whether it goes on."""
        if kind == "batch":
            batch = self.app.batches.get(name)
            return batch.to_json(), batch.is_active
        job = self.app.job(name)
        return job.to_json(), job.is_active

    def begun(self, kind: str, payload: _Payload, begin: Callable[[], Any]) -> Any:
        """Begin a job or batch, and remember whom to call when it has ended."""
        url = payload.get("callback_url")
        checked = None if url is None else self.callbacks.checked(url)
        record = begin()
        if checked is not None:
            self.callbacks.add(kind, record["id"], checked)
        return record

    def said_of(self, error: FacepickError) -> dict[str, Any]:
        """Put an error into the words of this API, with all that is known of missing models."""
        if isinstance(error, MissingModelError) and error.models:
            specs = [spec_by_id(name) for name in error.models]
            return {
                "error": f"{error.message} {self._how_to_get(specs)}",
                "missing": [self._about_model(spec) for spec in specs],
            }
        return {"error": error.sentence()}

    def _how_to_get(self, specs: Sequence[ModelSpec]) -> str:
        """Say what `ModelStore.how_to_get` says, in the words of this API."""
        fetched = [spec.id for spec in specs if spec.can_fetch]
        words = [self.app.models.how_to_get(spec) for spec in specs if not spec.can_fetch]
        if fetched:
            body = json.dumps({"models": fetched})
            words.append(f"Fetch it with: POST {PREFIX}/models/fetch {body}")
        return " ".join(words)

    def _about_model(self, spec: ModelSpec) -> dict[str, Any]:
        return {
            "id": spec.id,
            "file": spec.file,
            "here": self.app.models.find(spec) is not None,
            "can_fetch": spec.can_fetch,
            "size": spec.size,
            "sha256": spec.sha256,
            "licence": spec.licence,
            "commercial_use": spec.commercial_use,
            "purpose": spec.purpose,
            "homepage": spec.homepage,
            "folder": str(self.app.models.fetch_dir),
        }

    def _allowed(self, name: str) -> str:
        return str(allowed_path(self.app.host, name))

    def _is_allowed(self, name: str) -> bool:
        try:
            return bool(self._allowed(name))
        except UserInputError:
            return False

    def _asked(self, payload: _Payload) -> tuple[RenderPlan, tuple[Notice, ...]]:
        """Read a plan, or a lip sync in the words of sync.so, with what is to be told of it."""
        if "plan" not in payload and ("video" in payload or "input" in payload):
            return Wish.read(payload, self._allowed).plan(self.app)
        return self._plan_of(payload), ()

    def _plan_of(self, payload: _Payload, *, find: bool = True) -> RenderPlan:
        """Read a plan whose files are allowed ones.

        Args:
            find: look in its video for those who are named by photos; else they stay photos.
        """
        from facepick.render.plan import RenderPlan

        plan = RenderPlan.from_json(
            payload.get("plan"), open_file=lambda name: Path(self._allowed(name))
        )
        _check_scan_settings(plan.scan_settings)
        return replace(
            plan.moved(self._allowed),
            assignments=tuple(
                replace(
                    item,
                    selection=replace(
                        item.selection,
                        people=self._people_of(item.selection.people, plan, find),
                        everyone_but=self._people_of(item.selection.everyone_but, plan, find),
                    ),
                    settings=self._settings_of(item),
                    source=tuple(
                        photo
                        for name in item.source
                        for photo in self._source_of(name, plan.scan_settings)
                    ),
                )
                for item in plan.assignments
            ),
        )

    def _people_of(self, names: Sequence[str], plan: RenderPlan, find: bool) -> tuple[str, ...]:
        """Find who is in the photos among the names, ``photo:FILE``; ids and names stay."""
        found = []
        for name in names:
            kind, colon, file = name.partition(":")
            if not colon or kind.casefold() != "photo":
                found.append(name)
                continue
            from facepick.people.finder import ScanSettings

            photo = Path(self._allowed(file))
            if not find:
                found.append(f"photo:{photo}")
                continue
            settings = from_mapping(ScanSettings, plan.scan_settings)
            scan = self.app.find_people(self._allowed(plan.video), settings)
            found.append(self.app.person_by_photo(scan, photo).id)
        return tuple(found)

    def _settings_of(self, item: Assignment) -> dict[str, Any]:
        """Check the settings of an engine; files that they name must be allowed ones, too."""
        cls = self.app.registry.get(item.flow, item.engine).spec.settings
        values = to_mapping(from_mapping(cls, item.settings))
        files = [f.name for f in fields_of(cls) if f.kind == "file" and values[f.name]]
        return {**item.settings, **{name: self._allowed(values[name]) for name in files}}

    def _source_of(self, name: str, settings: Mapping[str, Any]) -> list[str]:
        """List the photos of a saved source, of ``cast:NAME``, of ``VIDEO:P2``, or one photo."""
        if self.app.sources.has(name):
            return [str(photo) for photo in self.app.sources.get(name).photos]
        video, colon, person = name.rpartition(":")
        if video.casefold() != "cast":
            if not (colon and person.strip()) or self._is_allowed(name):
                return [self._allowed(name)]
            name = f"{self._allowed(video)}:{person}"
        with tempfile.TemporaryDirectory(prefix="facepick-") as folder:
            found = self.app.source_faces([name], Path(folder), scan_settings=settings)
        return [photo["file"] for photo in found]

    def _output_of(self, payload: _Payload) -> Path:
        name = payload.get("name", "result.mp4")
        if not isinstance(name, str) or not is_plain_name(name):
            raise UserInputError('"name" must be a plain file name, such as result.mp4.')
        folder = self.app.host.outputs()
        folder.mkdir(parents=True, exist_ok=True)
        stem, suffix = Path(name).stem, Path(name).suffix or ".mp4"
        # What a job will write is not there yet, but its name is taken.
        taken = {record.out for record in self.app.jobs()}
        target, number = folder / f"{stem}{suffix}", 2
        while target.exists() or str(target.absolute()) in taken:
            target, number = folder / f"{stem}-{number}{suffix}", number + 1
        return target


_ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/", _Api.about),
    ("GET", "/engines", _Api.engines),
    ("GET", "/models", _Api.models),
    ("POST", "/models/fetch", _Api.fetch_models),
    ("POST", "/scans", _Api.start_scan),
    ("POST", "/speakers", _Api.start_speakers),
    ("POST", "/speakers/set", _Api.correct_speakers),
    ("POST", "/renders", _Api.start_render),
    ("POST", "/previews", _Api.start_preview),
    ("POST", "/estimates", _Api.estimate),
    ("POST", "/library/find", _Api.find_in_library),
    ("GET", "/sources", _Api.sources),
    ("POST", "/sources", _Api.save_source),
    ("POST", "/sources/remove", _Api.forget_source),
    ("GET", "/jobs", _Api.jobs),
    ("POST", "/jobs/order", _Api.move_job),
    ("GET", "/jobs/{job_id}", _Api.job),
    ("GET", "/jobs/{job_id}/people", _Api.people),
    ("GET", "/jobs/{job_id}/speakers", _Api.speakers),
    ("GET", "/jobs/{job_id}/result", _Api.result),
    ("GET", "/jobs/{job_id}/events", _Api.job_events),
    ("POST", "/jobs/{job_id}/cancel", _Api.cancel),
    ("POST", "/jobs/{job_id}/resume", _Api.resume),
    ("GET", "/batches", _Api.batches),
    ("POST", "/batches", _Api.start_batch),
    ("POST", "/batches/order", _Api.move_batch),
    ("GET", "/batches/{batch_id}", _Api.batch),
    ("GET", "/batches/{batch_id}/events", _Api.batch_events),
    ("POST", "/batches/{batch_id}/cancel", _Api.cancel_batch),
    ("POST", "/batches/{batch_id}/resume", _Api.resume_batch),
)
"""Every route: method, address below `PREFIX`, and its handler.  A handler of an address with
``{job_id}`` or ``{batch_id}`` is given the id; another one of POST the body's object; the others
nothing."""

_BEGIN = {
    "/scans": "job",
    "/speakers": "job",
    "/renders": "job",
    "/previews": "job",
    "/models/fetch": "job",
    "/batches": "batch",
}
"""What begins something that ends later, and may name whom to call then."""


def _answered(api: _Api, call: Callable[[], Any]) -> Any:
    """Call a handler; whatever it raises is an answer with its status."""
    from fastapi.responses import JSONResponse

    try:
        return call()
    except FacepickError as error:
        return JSONResponse(api.said_of(error), status_code=status_of(error))
    except OSError as error:
        # A full disk, a home folder that is gone.
        return JSONResponse({"error": f"The machine refused: {error}."}, status_code=500)
    except Exception as error:
        # A fault of ours: the log gets the trace, the caller a sentence.
        log.exception("unexpected")
        return JSONResponse({"error": f"Unexpected {type(error).__name__}."}, status_code=500)


def _body_of(data: bytes) -> _Payload:
    """Read the JSON object of a request's body; an empty body is an empty object."""
    if not data.strip():
        return {}
    try:
        payload = parsed_json(data, max_values=MAX_VALUES, strict_text=True)
    except ValueError as error:
        raise UserInputError(f"This is no JSON that can be taken: {error}.") from error
    if not isinstance(payload, dict):
        raise UserInputError("Send a JSON object.")
    return payload


def _plain_endpoint(api: _Api, handler: Callable[..., Any], path: str) -> Callable[..., Any]:
    return lambda: _answered(api, lambda: handler(api))


def _id_endpoint(api: _Api, handler: Callable[..., Any], path: str) -> Callable[..., Any]:
    def of_job(job_id):  # type: ignore[no-untyped-def]
        return _answered(api, lambda: handler(api, job_id))

    def of_batch(batch_id):  # type: ignore[no-untyped-def]
        return _answered(api, lambda: handler(api, batch_id))

    # FastAPI looks annotations that are texts up in this module, where Request is not imported.
    of_job.__annotations__, of_batch.__annotations__ = {"job_id": str}, {"batch_id": str}
    return of_job if "{job_id}" in path else of_batch


def _body_endpoint(api: _Api, handler: Callable[..., Any], path: str) -> Callable[..., Any]:
    from fastapi import Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import JSONResponse

    kind = _BEGIN.get(path)

    def answer(data: bytes) -> Any:
        payload = _body_of(data)
        if kind is None:
            return handler(api, payload)
        return api.begun(kind, payload, lambda: handler(api, payload))

    async def endpoint(request):  # type: ignore[no-untyped-def]
        # A page of another origin can post text/plain without asking, but not this type.
        if not str(request.headers.get("content-type", "")).startswith("application/json"):
            return JSONResponse({"error": "Send application/json."}, status_code=415)
        data = await request.body()
        # In a thread: while it reads, everybody else is served.
        return await run_in_threadpool(_answered, api, lambda: answer(data))

    endpoint.__annotations__ = {"request": Request}
    return endpoint


def _body_schema(example: Example | None) -> dict[str, Any]:
    """Describe a body for OpenAPI."""
    content: dict[str, Any] = {"schema": {"type": "object"}}
    if example is not None:
        content["examples"] = {name: {"value": value} for name, value in example.bodies.items()}
    return {"requestBody": {"content": {"application/json": content}}}


def add_routes(server: Any, app: App) -> None:
    """Add the API to a FastAPI application.

    Call it again for every new application (a WebUI makes one at each 'Reload UI').
    """
    from fastapi import APIRouter
    from starlette.routing import Route

    api = _Api(app)
    router = APIRouter(prefix=PREFIX, tags=["facepick"], route_class=guarded_route())
    for method, path, handler in _ROUTES:
        with_id, with_body = "_id}" in path, method == "POST"
        made = _id_endpoint if with_id else _body_endpoint if with_body else _plain_endpoint
        endpoint = made(api, handler, path)
        endpoint.__name__ = handler.__name__
        example = EXAMPLES.get(f"{method} {path}")
        extra = _body_schema(example) if made is _body_endpoint else None
        router.add_api_route(
            path,
            endpoint,
            methods=[method],
            summary=None if example is None else example.summary,
            openapi_extra=extra,
        )
    # What another server process has not told any more.
    api.callbacks.start()
    server.include_router(router)
    server.router.routes.append(Route(PREFIX + "/{rest:path}", endpoint=_Elsewhere(router.routes)))
