"""The HTTP API: the same jobs as the command line, for other programs on this machine.

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
from facepick.http_guard import guarded_route
from facepick.models.catalog import all_specs, spec_by_id
from facepick.settings import fields_of, from_mapping, json_schema, to_mapping

if TYPE_CHECKING:
    from facepick.app import App
    from facepick.engines.swap.saved import SavedSource
    from facepick.models.spec import ModelSpec
    from facepick.render.plan import Assignment

__all__ = ["PREFIX", "add_routes", "is_plain_name", "status_of"]

log = logging.getLogger("facepick.http")

PREFIX = "/facepick/v1"

MAX_VALUES = 1_000_000
"""Of a JSON body; a plan of 10,000 lines with their phones has a tenth."""

MAX_PHOTOS = 20
"""A texture hardly gains from more than five; base64 keeps them all in memory."""


def status_of(error: FacepickError) -> int:
    """The HTTP status that tells a program what kind of error it is."""
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
    """Whether every system takes it as the name of a file in a folder of ours."""
    return not (
        _UNUSABLE.search(name)
        or _RESERVED.fullmatch(name)
        or name.strip(" .") != name
        or not 0 < len(name.encode("utf-8", "replace")) <= 200
        or any("\ud800" <= c <= "\udfff" for c in name)
    )


def _uploaded(data: Any, path: Path) -> Path:
    """A photo that was sent as base64, as a file; what it holds is checked by who reads it."""
    try:
        path.write_bytes(base64.b64decode(data, validate=True))
    except (TypeError, ValueError) as error:
        raise UserInputError('"photos" must be a list of photos in base64.') from error
    return path


def _saved(source: SavedSource) -> dict[str, Any]:
    """A saved source without the paths of this machine."""
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


def add_routes(server: Any, app: App) -> None:
    """Add the API to a FastAPI application.

    Call it again for every new application (a WebUI makes one at each 'Reload UI').
    """
    # Annotations of the handlers below are looked up in this module's globals by FastAPI.
    from fastapi import APIRouter, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import FileResponse, JSONResponse
    from starlette.routing import Route

    router = APIRouter(prefix=PREFIX, tags=["facepick"], route_class=guarded_route())

    naming = threading.Lock()

    def answer(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except FacepickError as error:
            said: dict[str, Any] = {"error": error.sentence()}
            if isinstance(error, MissingModelError) and error.models:
                said = {"error": f"{error.message} {how_to_get(error.models)}"}
                said["missing"] = [about_model(spec_by_id(name)) for name in error.models]
            return JSONResponse(said, status_code=status_of(error))
        except OSError as error:
            # A full disk, a home folder that is gone.
            return JSONResponse({"error": f"The machine refused: {error}."}, status_code=500)
        except Exception as error:
            # A fault of ours: the log gets the trace, the caller a sentence.
            log.exception("unexpected")
            sentence = f"Unexpected {type(error).__name__}."
            return JSONResponse({"error": sentence}, status_code=500)

    def how_to_get(ids: Sequence[str]) -> str:
        """What `ModelStore.how_to_get` says, in the words of this API."""
        specs = [spec_by_id(name) for name in ids]
        fetched = [spec.id for spec in specs if spec.can_fetch]
        words = [app.models.how_to_get(spec) for spec in specs if not spec.can_fetch]
        if fetched:
            body = json.dumps({"models": fetched})
            words.append(f"Fetch it with: POST {PREFIX}/models/fetch {body}")
        return " ".join(words)

    def about_model(spec: ModelSpec) -> dict[str, Any]:
        return {
            "id": spec.id,
            "file": spec.file,
            "here": app.models.find(spec) is not None,
            "can_fetch": spec.can_fetch,
            "size": spec.size,
            "sha256": spec.sha256,
            "licence": spec.licence,
            "commercial_use": spec.commercial_use,
            "purpose": spec.purpose,
            "homepage": spec.homepage,
            "folder": str(app.models.fetch_dir),
        }

    def fetch_models(payload: dict[str, Any]) -> Any:
        ids = payload.get("models")
        if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
            raise UserInputError('"models" must be a list of ids; GET /models names them.')
        return app.start_fetch(ids).to_json()

    def is_json(request: Any) -> bool:
        # A page of another origin can post text/plain without asking, but not this type.
        return str(request.headers.get("content-type", "")).startswith("application/json")

    def post(path: str, work: Callable[[dict[str, Any]], Any]) -> None:
        def from_body(data: bytes) -> Any:
            try:
                payload = (
                    parsed_json(data, max_values=MAX_VALUES, strict_text=True)
                    if data.strip()
                    else {}
                )
            except ValueError as error:
                raise UserInputError(f"This is no JSON that can be taken: {error}.") from error
            if not isinstance(payload, dict):
                raise UserInputError("Send a JSON object.")
            return work(payload)

        async def handler(request):  # type: ignore[no-untyped-def]
            if not is_json(request):
                return JSONResponse({"error": "Send application/json."}, status_code=415)
            data = await request.body()
            # In a thread: while it reads, everybody else is served.
            return await run_in_threadpool(answer, lambda: from_body(data))

        handler.__annotations__ = {"request": Request}
        handler.__name__ = "post_" + path.strip("/").replace("/", "_")
        schema = {"content": {"application/json": {"schema": {"type": "object"}}}}
        router.add_api_route(path, handler, methods=["POST"], openapi_extra={"requestBody": schema})

    def video_of(payload: dict[str, Any]) -> Path:
        name = payload.get("video")
        if not isinstance(name, str):
            raise UserInputError('"video" must be a path.')
        return allowed_path(app.host, name)

    def start_scan(payload: dict[str, Any]) -> Any:
        settings = payload.get("settings") or {}
        check_scan_settings(settings)
        return app.start_scan(video_of(payload), settings=settings).to_json()

    def check_scan_settings(settings: Any) -> None:
        from facepick.people.finder import ScanSettings

        if not isinstance(settings, dict):
            raise UserInputError("Settings of a scan must be an object.")
        from_mapping(ScanSettings, settings)

    def start_render(payload: dict[str, Any]) -> Any:
        plan = plan_of(payload)
        with naming:
            job = app.new_render_job(plan, output_of(payload))
        return app.start(job).to_json()

    def start_preview(payload: dict[str, Any]) -> Any:
        at, seconds = payload.get("at"), payload.get("seconds", 3.0)
        if not (at is None or is_time(at)) or not is_time(seconds):
            raise UserInputError('"at" and "seconds" must be numbers, 0 or more.')
        plan = plan_of(payload)
        with naming:
            job = app.new_preview_job(plan, output_of(payload), at=at, seconds=seconds)
        return app.start(job).to_json()

    def is_time(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9

    def allowed(name: str) -> str:
        return str(allowed_path(app.host, name))

    def source_of(name: str, settings: Mapping[str, Any]) -> list[str]:
        """The photos of a saved source, of ``cast:NAME``, of ``VIDEO:P2``, or one photo."""
        if app.sources.has(name):
            return [str(photo) for photo in app.sources.get(name).photos]
        video, colon, person = name.rpartition(":")
        if video.casefold() != "cast":
            if not (colon and person.strip()) or is_allowed(name):
                return [allowed(name)]
            name = f"{allowed(video)}:{person}"
        with tempfile.TemporaryDirectory(prefix="facepick-") as folder:
            found = app.source_faces([name], Path(folder), scan_settings=settings)
        return [photo["file"] for photo in found]

    def is_allowed(name: str) -> bool:
        try:
            return bool(allowed(name))
        except UserInputError:
            return False

    def plan_of(payload: dict[str, Any]) -> Any:
        from facepick.render.plan import RenderPlan

        plan = RenderPlan.from_json(payload.get("plan"), open_file=lambda name: Path(allowed(name)))
        check_scan_settings(plan.scan_settings)
        return replace(
            plan.moved(allowed),
            assignments=tuple(
                replace(
                    item,
                    settings=settings_of(item),
                    source=tuple(p for s in item.source for p in source_of(s, plan.scan_settings)),
                )
                for item in plan.assignments
            ),
        )

    def settings_of(item: Assignment) -> dict[str, Any]:
        """The settings of an engine; files that they name must be allowed ones, too."""
        cls = app.registry.get(item.flow, item.engine).spec.settings
        values = to_mapping(from_mapping(cls, item.settings))
        files = [f.name for f in fields_of(cls) if f.kind == "file" and values[f.name]]
        return {**item.settings, **{name: allowed(values[name]) for name in files}}

    def save_source(payload: dict[str, Any]) -> Any:
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
            app.save_source(name, paths, face=face, origins=["upload"] * len(paths))
        return _saved(app.sources.get(name))

    def forget_source(payload: dict[str, Any]) -> Any:
        if not isinstance(payload.get("name"), str):
            raise UserInputError('"name" must be a text.')
        app.sources.remove(payload["name"])
        return {"removed": payload["name"]}

    def output_of(payload: dict[str, Any]) -> Path:
        name = payload.get("name", "result.mp4")
        if not isinstance(name, str) or not is_plain_name(name):
            raise UserInputError('"name" must be a plain file name, such as result.mp4.')
        folder = app.host.outputs()
        folder.mkdir(parents=True, exist_ok=True)
        stem, suffix = Path(name).stem, Path(name).suffix or ".mp4"
        # What a job will write is not there yet, but its name is taken.
        taken = {record.out for record in app.jobs()}
        target, number = folder / f"{stem}{suffix}", 2
        while target.exists() or str(target.absolute()) in taken:
            target, number = folder / f"{stem}-{number}{suffix}", number + 1
        return target

    post("/models/fetch", fetch_models)
    post("/scans", start_scan)
    post("/renders", start_render)
    post("/previews", start_preview)
    post("/sources", save_source)
    post("/sources/remove", forget_source)

    @router.get("/models")
    def models() -> Any:
        return answer(lambda: [about_model(spec) for spec in all_specs()])

    @router.get("/sources")
    def sources() -> Any:
        return answer(lambda: [_saved(source) for source in app.sources.all()])

    @router.get("/")
    def about() -> Any:
        return {"name": "facepick", "version": __version__, "host": app.host.name}

    @router.get("/engines")
    def engines() -> Any:
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
            for e in app.registry.all()
        ]

    @router.get("/jobs")
    def jobs() -> Any:
        return answer(lambda: [r.to_json() for r in app.jobs()])

    def by_job(path: str, work: Callable[[str], Any], method: str) -> None:
        def handler(job_id):  # type: ignore[no-untyped-def]
            return answer(lambda: work(job_id))

        handler.__annotations__ = {"job_id": str}
        handler.__name__ = "job_" + (path.rpartition("/")[2].strip("{}") or "show")
        router.add_api_route(path, handler, methods=[method])

    def people(job_id: str) -> Any:
        from facepick.people.export import people_json

        return people_json(app.scan_of_job(job_id))

    def resume(job_id: str) -> Any:
        out = None
        with naming:
            wanted = app.job(job_id).out
            if wanted is not None and os.path.lexists(wanted):
                # Somebody has put a file there; the result gets another name.
                out = output_of({"name": Path(wanted).name})
            return app.resume_job(job_id, out=out).to_json()

    def result(job_id: str) -> Any:
        record = app.job(job_id)
        if record.state != "done" or not record.out or not Path(record.out).is_file():
            raise JobNotFound(f"Job {job_id} has no result.")
        return FileResponse(record.out, filename=Path(record.out).name)

    by_job("/jobs/{job_id}", lambda i: app.job(i).to_json(), "GET")
    by_job("/jobs/{job_id}/people", people, "GET")
    by_job("/jobs/{job_id}/result", result, "GET")
    by_job("/jobs/{job_id}/cancel", lambda i: app.cancel_job(i).to_json(), "POST")
    by_job("/jobs/{job_id}/resume", resume, "POST")
    server.include_router(router)
    server.router.routes.append(Route(PREFIX + "/{rest:path}", endpoint=_Elsewhere(router.routes)))
