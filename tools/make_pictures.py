"""Draws the pictures of docs/lip-sync.md, docs/face-swap.md and docs/occlusion.md.

    PYTHONPATH=lib python tools/make_pictures.py [OUT] [--only NAME ...]

OUT is docs/images unless it is given.  Everything comes from the bundled clip, whose notice lies
beside it, so that anybody with the default models gets the same pictures.

Wav2Lip's weights may not be passed on.  Where a control of the neural engines is shown, their
session runs with a stand-in for the network: it answers with the person's own face of another
frame, as small as the network draws (96 pixels) and with a cast of colour.  All that is done to
the network's picture afterwards is the engine's own work.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facepick.compositing.patch import FacePatch, FaceRequest
from facepick.demo import demo_clip, demo_speech
from facepick.engines.engine import EngineContext, EngineSession
from facepick.engines.lipsync.gating import Gating
from facepick.engines.lipsync.neural.crop import Pads, cut_face, network_input, warp_out
from facepick.engines.lipsync.neural.engine import Wav2LipSession
from facepick.engines.lipsync.neural.settings import Wav2LipSettings
from facepick.engines.lipsync.rewrite.engine import RewriteEngine
from facepick.engines.occlusion.session import behind_occluders
from facepick.engines.restore.restorer import open_restorer
from facepick.engines.swap.mesh import MeshSwapEngine
from facepick.engines.swap.settings import MeshSettings
from facepick.faces.mesh import FaceMesh
from facepick.measure.sync_report import SyncMeter
from facepick.media.audio import read_mono
from facepick.media.reader import VideoReader
from facepick.models.store import default_store
from facepick.people.finder import find_people
from facepick.progress import never, no_progress
from facepick.render.footage import PersonFootage, crop_region
from facepick.speech.line import Speech, SpeechLine
from facepick.speech.vad import Stretch

ROOT = Path(__file__).resolve().parents[1]
# A strip is as wide as a page of text; two rows of three then stay below 60 kB.
TILE_PX, GAP_PX, CAPTION_PX = 208, 6, 22
MAX_BYTES = 60_000
TINT = np.array([60, 60, 255], np.float32)
WORDS = "Has been carefully collected, and which appears to have been well established."
"""What LJ050-0131, the bundled speech, ends on; the whole sentence is not needed here."""


class Clip:
    """The bundled clip, who is in it, and their requests; made once and kept in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = default_store()
        self.scan = find_people(demo_clip(), models=self.store, cache=folder / "scan")
        self.man, self.woman = (Person(self, p) for p in self.scan.people)

    def picture(self, frame: int) -> Any:
        with VideoReader(demo_clip()) as reader:
            return next(iter(reader.frames(start=frame, pts=self.scan.pts.tolist()))).picture


class Person:
    """One of the two, as engines see them."""

    def __init__(self, clip: Clip, who: Any) -> None:
        self.clip, self.who = clip, who
        self.mesher = FaceMesh(clip.store)

    @cached_property
    def footage(self) -> PersonFootage:
        folder = self.clip.folder / self.who.id
        folder.mkdir(exist_ok=True)
        found = PersonFootage(self.clip.scan, self.who, MeshSwapEngine.spec, folder)
        found.prepare(
            lambda picture, state: self.mesh_of(picture.bgr(), state),
            frames=(0, self.clip.scan.frames),
            progress=no_progress,
            cancel=never,
        )
        return found

    def mesh_of(self, image: np.ndarray, face: Any) -> tuple[np.ndarray, float]:
        x0, y0, x1, y1 = crop_region(face.box, 0.75, image.shape[1], image.shape[0])
        part = np.ascontiguousarray(image[y0:y1, x0:x1])
        return self.mesher.locate(part, face.landmarks5, (x0, y0))

    def at(self, frame: int) -> FaceRequest:
        footage = self.footage
        [request] = footage.requests(
            frame, self.clip.picture(frame), output_frame=frame, time=footage.time_of(frame)
        )
        return request

    def stream(self) -> Iterable[FaceRequest]:
        return self.footage.stream((0, self.clip.scan.frames), never)

    def context(
        self,
        settings: Any,
        *,
        speech: Speech | None = None,
        source: Sequence[Path] = (),
        footage: Callable[[], Iterable[FaceRequest]] | None = None,
    ) -> EngineContext:
        return EngineContext(
            settings=settings,
            video=self.clip.scan.video,
            scan=self.clip.scan,
            person=self.who,
            frames=self.clip.scan.frames,
            workspace=Path(tempfile.mkdtemp(dir=self.clip.folder)),
            models=self.clip.store,
            device="cpu",
            speech=speech,
            source=tuple(map(str, source)),
            footage=footage or self.stream,
        )


def bundled_speech() -> Speech:
    """The bundled speech from the first frame on, beside the clip's own sound."""
    samples = read_mono(demo_speech())
    original = read_mono(demo_clip(), align_to=0.0)
    padded = np.zeros(max(len(samples), len(original)), np.float32)
    padded[: len(samples)] = samples
    line = SpeechLine(path=str(demo_speech()), text=WORDS)
    return Speech(samples=padded, lines=(line,), original=original)


def mouths_of(
    person: Person, settings: Wav2LipSettings, shown: FaceRequest, *, cast: float = 0.0
) -> EngineSession:
    """Wav2Lip's session, whose network always answers with the face of `shown`.

    Args:
        cast: 0 as filmed; 1 a quarter darker and yellow.
    """
    context = person.context(settings, speech=bundled_speech())
    change = 1 - cast * np.array([0.42, 0.26, 0.16], np.float32)

    def network(mel: np.ndarray, faces: np.ndarray) -> np.ndarray:
        pads = Pads(settings.pad_top, settings.pad_bottom, settings.pad_left, settings.pad_right)
        picture = warp_out(shown.crop, cut_face(shown, pads=pads)).astype(np.float32)
        drawn = (picture / 255 * change).transpose(2, 0, 1)
        return np.repeat(drawn[None], len(faces), 0).astype(np.float32)

    return Wav2LipSession(
        context,
        network,
        Gating(speak=(Stretch(0.0, 60.0),)),
        open_restorer("none", models=person.clip.store, device="cpu", host_restorers={}),
        Path("stand-in"),
    )


# Drawing ---------------------------------------------------------------------------------------


def outcome(request: FaceRequest, patch: Any) -> np.ndarray:
    """The crop with the patch in it; the crop alone where the engine left the frame."""
    image = request.crop.astype(np.float32)
    if isinstance(patch, FacePatch):
        alpha, view = _view(image, request, patch)
        view += (patch.image[: view.shape[0], : view.shape[1]] - view) * alpha
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def tinted(request: FaceRequest, patch: Any) -> np.ndarray:
    """The crop with the patch's mask in red."""
    image = request.crop.astype(np.float32)
    if isinstance(patch, FacePatch):
        alpha, view = _view(image, request, patch)
        view += (0.35 * view + 0.65 * TINT - view) * alpha
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _view(
    image: np.ndarray, request: FaceRequest, patch: FacePatch
) -> tuple[np.ndarray, np.ndarray]:
    x, y = patch.origin[0] - request.origin[0], patch.origin[1] - request.origin[1]
    height, width = patch.alpha.shape
    view = image[y : y + height, x : x + width]
    return patch.alpha[: view.shape[0], : view.shape[1], None], view


def zoomed(image: np.ndarray, request: FaceRequest, *, part: str = "face") -> np.ndarray:
    """A square tile around the face, or around its lower half."""
    oval = request.local(request.mesh) if request.mesh is not None else None
    if oval is None:
        box = request.box
        oval = np.array([[box.x0, box.y0], [box.x1, box.y1]]) - np.array(request.origin)
    low, high = oval.min(axis=0), oval.max(axis=0)
    side = 1.45 * float((high - low).max())
    middle = (low + high) / 2
    if part == "mouth":
        side *= 0.62
        middle[1] += 0.22 * float(high[1] - low[1])
    scale = TILE_PX / side
    move = TILE_PX / 2 - scale * middle
    matrix = np.array([[scale, 0, move[0]], [0, scale, move[1]]])
    return cv2.warpAffine(
        image, matrix, (TILE_PX, TILE_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


def strip(columns: Sequence[tuple[str, Sequence[np.ndarray]]]) -> np.ndarray:
    """Tiles in columns, each under its caption."""
    drawn = []
    for caption, tiles in columns:
        width = tiles[0].shape[1]
        head = np.full((CAPTION_PX, width, 3), 255, np.uint8)
        cv2.putText(
            head, caption, (2, CAPTION_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1,
            cv2.LINE_AA,
        )  # fmt: skip
        gap = np.full((GAP_PX, width, 3), 255, np.uint8)
        parts = [head]
        for tile in tiles:
            parts += [tile, gap]
        drawn.append(np.vstack(parts))
    tall = max(d.shape[0] for d in drawn)
    spaced = []
    for column in drawn:
        short = np.full((tall - column.shape[0], column.shape[1], 3), 255, np.uint8)
        spaced += [np.vstack([column, short]), np.full((tall, GAP_PX, 3), 255, np.uint8)]
    return np.hstack(spaced[:-1])


def save(path: Path, image: np.ndarray) -> None:
    """JPEG, as good as `MAX_BYTES` allow."""
    for quality in range(90, 40, -4):
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        if len(data) <= MAX_BYTES:
            break
    path.write_bytes(data.tobytes())


# The pictures ----------------------------------------------------------------------------------

# In this frame the bundled speech opens the mouth widest.
VOWEL = 85
# A microphone is drawn over this frame and those around it, while her mouth is shut.
MICROPHONE_AT = 90

# The woman with a shut mouth, and with an open one in about the same pose.
SHUT, OPEN = 90, 82


def _mouths(clip: Clip, field: str, values: Sequence[Any], **others: Any) -> np.ndarray:
    """Mask above result for some values of a control, the default starred."""
    default = getattr(Wav2LipSettings(), field)
    request, shown = clip.woman.at(SHUT), clip.woman.at(OPEN)
    columns = []
    for value in values:
        settings = Wav2LipSettings(occlusion="off", **{field: value}, **others)
        [patch] = mouths_of(clip.woman, settings, shown).process([request])
        name = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
        star = " (default)" if value == default else ""
        columns.append((
            f"{name}{star}",
            [zoomed(draw(request, patch), request) for draw in (tinted, outcome)],
        ))  # fmt: skip
    return strip(columns)


def only_mouth(clip: Clip) -> np.ndarray:
    request, shown = clip.woman.at(SHUT), clip.woman.at(OPEN)
    first = ("filmed; the stand-in's face", [zoomed(r.crop, r) for r in (request, shown)])
    return np.hstack([strip([first]), _gap(2), _mouths(clip, "only_mouth", (False, True))])


def _gap(rows: int) -> np.ndarray:
    return np.full((CAPTION_PX + rows * (TILE_PX + GAP_PX), GAP_PX, 3), 255, np.uint8)


def mouth_mask_dilate(clip: Clip) -> np.ndarray:
    return _mouths(clip, "mouth_mask_dilate", (0, 15, 48), only_mouth=True)


def face_mask_erode(clip: Clip) -> np.ndarray:
    return _mouths(clip, "face_mask_erode", (0, 15, 48))


def mask_blur(clip: Clip) -> np.ndarray:
    return _mouths(clip, "mask_blur", (0, 15, 48))


def pads(clip: Clip) -> np.ndarray:
    """The cut in the frame, and below it what the network is given."""
    request = clip.woman.at(SHUT)
    columns = []
    for caption, values in (
        ("0 (default)", Pads()),
        ("bottom 30", Pads(bottom=30)),
        ("left and right 30", Pads(left=30, right=30)),
    ):
        cut = cut_face(request, pads=values)
        drawn = request.crop.copy()
        corners = np.array([[0, 0], [96, 0], [96, 96], [0, 96]], float)
        line = corners @ cut.to_crop[:, :2].T + cut.to_crop[:, 2]
        cv2.polylines(drawn, [np.rint(line).astype(np.int32)], True, (60, 60, 255), 3)
        both = network_input(request.crop, cut)
        seen = np.rint(np.hstack([b.transpose(1, 2, 0) for b in (both[:3], both[3:])]) * 255)
        size = (TILE_PX, TILE_PX // 2)
        seen = cv2.resize(seen.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
        columns.append((caption, [zoomed(drawn, request), seen]))
    return strip(columns)


def colour_and_grain(clip: Clip) -> np.ndarray:
    request, shown = clip.woman.at(SHUT), clip.woman.at(OPEN)
    columns = []
    for caption, colour, grain in (
        ("both off", False, False),
        ("match colour on", True, False),
        ("both on (default)", True, True),
    ):
        settings = Wav2LipSettings(match_colour=colour, keep_grain=grain, occlusion="off")
        [patch] = mouths_of(clip.woman, settings, shown, cast=1.0).process([request])
        columns.append((caption, [zoomed(outcome(request, patch), request, part="mouth")]))
    return strip(columns)


def when_silent(clip: Clip) -> np.ndarray:
    """Where the clip talks on after the new speech has ended."""
    frames = (205, 213, 241)
    requests = [clip.man.at(f) for f in frames]
    columns: list[tuple[str, list[np.ndarray]]] = []
    speech = bundled_speech()
    for value in ("keep", "close"):
        settings = RewriteEngine.spec.settings(when_silent=value)
        session = RewriteEngine().open(clip.man.context(settings, speech=speech))
        patches = session.process(requests)
        tiles = [
            zoomed(outcome(r, p), r, part="mouth") for r, p in zip(requests, patches, strict=True)
        ]
        columns.append((f"{value}{' (default)' if value == 'close' else ''}", tiles))
    return strip([
        (f"frame {f}: keep above, close below", [a, b])
        for f, a, b in zip(frames, columns[0][1], columns[1][1], strict=True)
    ])  # fmt: skip


def strength(clip: Clip) -> np.ndarray:
    """How far the built-in engine opens the mouth for one and the same vowel."""
    speech = bundled_speech()
    request = clip.man.at(VOWEL)
    columns = []
    for value in (0.5, 1.0, 1.5):
        settings = RewriteEngine.spec.settings(strength=value)
        session = RewriteEngine().open(clip.man.context(settings, speech=speech))
        [patch] = session.process([request])
        name = f"{value:g}{' (default)' if value == 1 else ''}"
        columns.append((name, [zoomed(outcome(request, patch), request, part="mouth")]))
    return strip(columns)


def sync_plot(clip: Clip) -> np.ndarray:
    """The plot of the sync report on what the built-in engine makes of the clip."""
    speech = bundled_speech()
    session = RewriteEngine().open(clip.man.context(RewriteEngine.spec.settings(), speech=speech))
    mesh = FaceMesh(default_store())
    meter = SyncMeter(speech)
    for request in clip.man.stream():
        [patch] = session.process([request])
        made = isinstance(patch, FacePatch)
        crop = outcome(request, patch) if made else request.crop
        points, score = mesh.locate(crop, request.landmarks5, request.origin)
        shown = replace(request, crop=crop, mesh=points, mesh_score=score)
        meter.add(shown, original=request, reason=None if made else "silence")
    with tempfile.TemporaryDirectory() as folder:
        meter.plot(Path(folder) / "plot.png", title="P2")
        picture = cv2.imread(str(Path(folder) / "plot.png"))
    assert picture is not None
    return picture


def occlusion(clip: Clip) -> np.ndarray:
    """A microphone is drawn over the clip; mask and result, off and auto."""
    person = clip.woman
    changed = {r.frame: r for r in _with_microphone(person)}
    shown = person.at(OPEN)
    request = changed[MICROPHONE_AT]
    blank = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    columns = [("as filmed", [zoomed(request.crop, request), blank])]
    for value in ("off", "built-in"):
        settings = Wav2LipSettings(occlusion=value)
        session: EngineSession = mouths_of(person, settings, shown)
        if value != "off":
            context = person.context(settings, footage=lambda: iter(changed.values()))
            session = behind_occluders(session, context, part="mouth")
        [patch] = session.process([request])
        name = "off" if value == "off" else "auto (default)"
        columns.append(
            (name, [zoomed(draw(request, patch), request) for draw in (outcome, tinted)])
        )
    return strip(columns)


def _with_microphone(person: Person) -> Iterable[FaceRequest]:
    """The person's requests; for a second around `MICROPHONE_AT` a microphone is in front."""
    start = MICROPHONE_AT - 12
    for request in person.stream():
        if request.mesh is None or not start <= request.frame < start + 25:
            yield request
            continue
        mesh = request.local(request.mesh)
        unit = float(np.linalg.norm(mesh[33] - mesh[263]))
        crop = request.crop.copy()
        centre = mesh[[61, 291]].mean(axis=0) + unit * np.array([0.36, 0.42])
        foot = centre + unit * np.array([0.5, 3.0])
        for colour, radius, a, b in (
            ((52, 50, 48), 0.16, centre, foot),
            ((38, 36, 34), 0.36, centre, centre),
            ((70, 68, 66), 0.2, centre - 0.08 * unit, centre - 0.08 * unit),
        ):
            ends = [tuple(np.rint(16 * p).astype(int).tolist()) for p in (a, b)]
            cv2.line(crop, *ends, colour, max(1, round(2 * radius * unit)), cv2.LINE_AA, 4)
        found, score = person.mesher.locate(
            crop, request.landmarks5 - np.float32(request.origin), (0, 0)
        )
        found = found + np.array([*request.origin, 0], np.float32)
        yield replace(request, crop=crop, mesh=found.astype(np.float32), mesh_score=score)


def debug_sheet(clip: Clip) -> np.ndarray:
    request, shown = clip.woman.at(SHUT), clip.woman.at(OPEN)
    settings = Wav2LipSettings(occlusion="off", debug=True)
    mouths_of(clip.woman, settings, shown).process([request])
    [sheet] = clip.folder.glob("*/debug/*.jpg")
    image = cv2.imread(str(sheet))
    return cv2.resize(image, None, fx=0.55, fy=0.55, interpolation=cv2.INTER_AREA)


# Face swap -------------------------------------------------------------------------------------


def _photo(clip: Clip, person: Person, frame: int) -> Path:
    path = clip.folder / f"{person.who.id}_{frame}.png"
    if not path.is_file():
        cv2.imwrite(str(path), person.at(frame).crop)
    return path


def _swapped(clip: Clip, request: FaceRequest, **settings: Any) -> Any:
    """The man with the woman's face."""
    photo = _photo(clip, clip.woman, 90)
    context = clip.man.context(MeshSettings(**settings), source=[photo])
    # What is learned of the man is the same for all settings.
    context = replace(context, workspace=clip.man.footage.folder)
    session = MeshSwapEngine().open(context)
    [patch] = session.process([request])
    session.close()
    return patch


def swap(clip: Clip) -> np.ndarray:
    frames = (55, 190, 213)
    photo = clip.woman.at(90)
    blank = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    columns = [("the photo", [zoomed(photo.crop, photo), blank])]
    for f in frames:
        request = clip.man.at(f)
        patch = _swapped(clip, request)
        tiles = [zoomed(image, request) for image in (request.crop, outcome(request, patch))]
        columns.append((f"frame {f}", tiles))
    return strip(columns)


def _swap_control(clip: Clip, field: str, values: Sequence[float]) -> np.ndarray:
    request = clip.man.at(55)
    default = getattr(MeshSettings(), field)
    columns = []
    for value in values:
        patch = _swapped(clip, request, **{field: value})
        name = f"{value}{' (default)' if value == default else ''}"
        columns.append((name, [zoomed(d(request, patch), request) for d in (tinted, outcome)]))
    return strip(columns)


def swap_margin(clip: Clip) -> np.ndarray:
    return _swap_control(clip, "margin", (0.0, 0.11, 0.2))


def swap_forehead(clip: Clip) -> np.ndarray:
    return _swap_control(clip, "forehead", (0.0, 0.3, 0.45))


def swap_blur(clip: Clip) -> np.ndarray:
    return _swap_control(clip, "blur", (0.0, 0.03, 0.15))


def swap_on_doubt(clip: Clip) -> np.ndarray:
    """A frame that is not swapped, here for a `min_face` above the man's."""
    request = clip.man.at(55)
    columns = [("as filmed", [zoomed(request.crop, request)])]
    for value in ("keep", "hide"):
        patch = _swapped(clip, request, on_doubt=value, min_face=400)
        name = f"{value}{' (default)' if value == 'keep' else ''}"
        columns.append((name, [zoomed(outcome(request, patch), request)]))
    return strip(columns)


PICTURES: dict[str, Callable[[Clip], np.ndarray]] = {
    "lipsync-only-mouth": only_mouth,
    "lipsync-mouth-mask-dilate": mouth_mask_dilate,
    "lipsync-face-mask-erode": face_mask_erode,
    "lipsync-mask-blur": mask_blur,
    "lipsync-pads": pads,
    "lipsync-colour-grain": colour_and_grain,
    "lipsync-when-silent": when_silent,
    "lipsync-strength": strength,
    "lipsync-sync-plot": sync_plot,
    "lipsync-debug": debug_sheet,
    "occlusion": occlusion,
    "swap": swap,
    "swap-margin": swap_margin,
    "swap-forehead": swap_forehead,
    "swap-blur": swap_blur,
    "swap-on-doubt": swap_on_doubt,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "docs" / "images")
    parser.add_argument("--only", nargs="*", choices=PICTURES, default=list(PICTURES))
    options = parser.parse_args()
    cv2.setNumThreads(2)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        clip = Clip(Path(folder))
        for name in options.only:
            save(options.out / f"{name}.jpg", PICTURES[name](clip))


if __name__ == "__main__":
    main()
