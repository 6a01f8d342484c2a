"""Doctor: what is there, what is missing, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from facepick.errors import FacepickError
from facepick.models.catalog import all_specs, default_specs
from facepick.models.store import ModelStore, default_store
from facepick.paths import home_dir

if TYPE_CHECKING:
    # Whoever asks the doctor may lack numpy, without which no engine can be imported.
    from facepick.engines.engine import Engine

__all__ = ["Check", "Readiness", "host_pins", "readiness", "run_checks"]

# A minute of 1080p takes about 60 MB at CRF 18; segments and result exist at the same time.
_ROOM_BYTES = 2 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: short, unique: ``python``, ``package av``, ``model sface``.
        ok: whether it is as it should be.
        detail: what was found.
        fix: what to do, when it is not ok; else empty.
        required: False for what only some flows use; then `ok` may be False and all is well.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """What of one flow can be used here, for people.

    Attributes:
        what: the flow, in words.
        ready: whether it works at all.
        detail: with what it works, and what else it could use.
    """

    what: str
    ready: bool
    detail: str = ""


_FLOWS = {"hide": "Hide a person", "lipsync": "Lip sync", "swap": "Swap a face"}


def readiness(
    checks: Sequence[Check], engines: Iterable[Engine], models: ModelStore
) -> list[Readiness]:
    """Word what was checked by flow: what works, with which engines, what others still need.

    Args:
        checks: of `run_checks`.
        engines: in menu order; each says itself what it lacks.
        models: where the engines look for their files.
    """
    by_name = {check.name: check for check in checks}
    base = all(check.ok for check in checks if check.required)
    found = [Readiness(what="Find people", ready=base)]
    listed = list(engines)
    for flow, words in _FLOWS.items():
        of_flow = [engine for engine in listed if engine.spec.flow == flow]
        lacking = [engine.spec.id for engine in of_flow if not _can_start(engine, models)]
        here = [engine.spec.id for engine in of_flow if engine.spec.id not in lacking]
        more = f"; not set up: {', '.join(lacking)}" if lacking else ""
        found.append(
            Readiness(what=words, ready=base and bool(here), detail=", ".join(here) + more)
        )
    voices = by_name.get("model speakers")
    by_face = "by faces, mouths and voices"
    if voices is not None and not voices.ok:
        by_face = "by faces and mouths; voices, too, after: facepick models fetch speakers"
    found.append(Readiness(what="Who speaks", ready=base, detail=by_face))
    page = by_name.get("package gradio")
    there = page is not None and page.ok
    how = "facepick ui" if there else "" if page is None else page.fix
    found.append(Readiness(what="The app", ready=base and there, detail=how))
    return found


def _can_start(engine: Engine, models: ModelStore) -> bool:
    try:
        engine.preflight(engine.spec.settings(), models)
    except FacepickError:
        return False
    return True


@dataclass(frozen=True)
class _Package:
    module: str
    names: tuple[str, ...]
    lowest: str
    extra: str = ""
    use: str = ""

    @property
    def install(self) -> str:
        if self.extra:
            return f'pip install "facepick[{self.extra}]"'
        return f'pip install "{self.names[0]}>={self.lowest}"'


_OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)

_PACKAGES = (
    _Package("numpy", ("numpy",), "1.26"),
    _Package("av", ("av",), "12.3"),
    _Package("cv2", _OPENCV, "4.8"),
    _Package("scenedetect", ("scenedetect", "scenedetect-headless"), "0.6.4"),
    _Package(
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
        "1.16",
    ),
    _Package("ffmpeg", ("ffmpeg-python",), "0.2"),
    _Package("imageio_ffmpeg", ("imageio-ffmpeg",), "0.5"),
    _Package("rich", ("rich",), "13"),
    _Package("platformdirs", ("platformdirs",), "3"),
    _Package("pysubs2", ("pysubs2",), "1.7.1"),
    _Package("jinja2", ("jinja2",), "3.1"),
    _Package("gradio", ("gradio",), "3.41", "ui", "the app"),
    _Package("torch", ("torch",), "2.1.2", "torch", "checkpoints in .pth, face restoration"),
    _Package("deepface", ("deepface",), "0.0.103", "deepface", "further recognition models"),
)


def run_checks(models: ModelStore | None = None, *, home: Path | None = None) -> list[Check]:
    """Look at everything.  Takes seconds: it starts encoders and imports what it examines.

    Args:
        models: the store whose folders are searched; the default one when None.
        home: where cache, jobs and models are written; the default one when None.
    """
    store = models or default_store()
    found = [_python()]
    found += [_package(package) for package in _PACKAGES]
    found += _opencv()
    found += host_pins(Path(__file__).absolute().parents[2])
    parts: tuple[Callable[[], Iterator[Check]], ...] = (
        _ffmpeg, _encoders, _providers, _torch, _espeak,
    )  # fmt: skip
    for part in parts:
        found += part()
    found += _models(store)
    found += _places(home or home_dir())
    return found


def _python() -> Check:
    version = platform.python_version()
    ok = sys.version_info >= (3, 10)
    return Check(
        name="python",
        ok=ok,
        detail=f"{version} at {sys.executable} on {platform.system()} {platform.machine()}",
        fix="" if ok else "Install Python 3.10 or newer.",
    )


def _package(package: _Package) -> Check:
    name = f"package {package.names[0]}"
    required = not package.extra
    use = f" (only for {package.use})" if package.use else ""
    if not _importable(package.module):
        return Check(
            name=name,
            ok=False,
            detail="not installed" + use,
            fix=f"Install it with: {package.install}",
            required=required,
        )
    for distribution in package.names:
        version = _version(distribution)
        if version is None:
            continue
        if _numbers(version) < _numbers(package.lowest):
            return Check(
                name=name,
                ok=False,
                detail=f"{version} is older than {package.lowest}{use}",
                fix=f"Update it with: {package.install}",
                required=required,
            )
        alias = "" if distribution == package.names[0] else f" ({distribution})"
        return Check(name=name, ok=True, detail=version + alias + use, required=required)
    # Importable without metadata: unpacked by hand, or put there by the host.
    return Check(name=name, ok=True, detail="installed, version unknown", required=required)


def _opencv() -> list[Check]:
    """Check that one OpenCV is installed: four packages of it write into the same folder."""
    installed = {name: version for name in _OPENCV if (version := _version(name)) is not None}
    checks = []
    if len(installed) > 1:
        same = len(set(installed.values())) == 1
        listed = ", ".join(f"{name} {version}" for name, version in installed.items())
        keep = next(iter(installed))
        others = " ".join(name for name in installed if name != keep)
        checks.append(
            Check(
                name="opencv packages",
                ok=same,
                detail=f"{listed} share the folder cv2/"
                + (", of one version: they get along" if same else " in different versions"),
                fix=""
                if same
                else "Bring them to one version: "
                + "pip install --force-reinstall --no-deps "
                + " ".join(f"{name}=={installed[keep]}" for name in (*others.split(), keep)),
            )
        )
    if _importable("cv2"):
        try:
            cv2 = importlib.import_module("cv2")
        except ImportError as error:
            broken, why = True, f"cannot be imported: {error}"
        else:
            broken = not hasattr(cv2, "FaceDetectorYN")
            why = "has no FaceDetectorYN"
        if broken:
            checks.append(
                Check(
                    name="opencv",
                    ok=False,
                    detail=why,
                    fix="pip install --force-reinstall --no-deps opencv-python",
                )
            )
    return checks


# Where A1111 and Forge, and where Forge Neo and SD.Next pin what they run with.
_PIN_FILES = ("requirements_versions.txt", "requirements.txt")
# Those that other programs move, and that break a host or facepick when they are moved.
_PINNED = ("numpy", "pillow", "protobuf", "opencv-python", "pydantic", "scikit-image")


def host_pins(extension: Path) -> list[Check]:
    """Compare the packages of the WebUI around facepick with those which it asks for.

    facepick moves none, so somebody else did: another extension, or one that the WebUI brings.

    Args:
        extension: folder of facepick, in the WebUI's ``extensions``.
    """
    if extension.parent.name != "extensions":
        return []
    wanted: dict[str, str] = {}
    for name in _PIN_FILES:
        try:
            text = (extension.parents[1] / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            found = re.match(r"\s*([A-Za-z0-9._-]+)\s*==\s*([^\s;#]+)", line)
            if found:
                wanted.setdefault(found[1].lower().replace("_", "-"), found[2])
    checks = []
    for name in _PINNED:
        version = _version(name)
        if name in wanted and version is not None and version != wanted[name]:
            checks.append(
                Check(
                    name=f"host's {name}",
                    ok=False,
                    detail=f"{version}, but the WebUI asks for {wanted[name]}; facepick moves no "
                    "package, another extension does",
                    fix=f'Where something breaks: pip install "{name}=={wanted[name]}"',
                    required=False,
                )
            )
    return checks


def _ffmpeg() -> Iterator[Check]:
    path = shutil.which("ffmpeg")
    origin = "the system's"
    if path is None and _importable("imageio_ffmpeg"):
        try:
            path = importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
            origin = "that of imageio-ffmpeg"
        except RuntimeError:
            path = None
    first = _first_line([path, "-version"]) if path else ""
    version = re.match(r"ffmpeg version (\S+)", first)
    yield Check(
        name="ffmpeg",
        ok=version is not None,
        detail=f"{version.group(1)}, {origin}: {path}" if version else "no ffmpeg that runs",
        fix="" if version else "Install one with: pip install imageio-ffmpeg",
    )


_HARDWARE = (
    "h264_nvenc", "hevc_nvenc", "h264_qsv", "hevc_qsv", "h264_amf", "hevc_amf",
    "h264_videotoolbox", "hevc_videotoolbox", "h264_mf", "av1_nvenc",
)  # fmt: skip


def _encoders() -> Iterator[Check]:
    if not _importable("av"):
        return
    import av

    also = [name for name in ("libx265", "libsvtav1") if name in av.codecs_available]
    ok = _encodes("libx264")
    yield Check(
        name="encoder libx264",
        ok=ok,
        detail="; also ".join(["works", *also]) if ok else "PyAV was built without it",
        fix="" if ok else "Install PyAV's own wheel: pip install --force-reinstall av",
    )
    hardware = [name for name in _HARDWARE if _encodes(name)]
    yield Check(
        name="hardware encoders",
        ok=bool(hardware),
        detail=", ".join(hardware) or "none works here",
        fix="" if hardware else "None is needed; they need a GPU, its driver and a fitting PyAV.",
        required=False,
    )


def _encodes(name: str) -> bool:
    """Tell whether PyAV can open this encoder: a built-in one may lack its GPU."""
    import av
    from av.video.codeccontext import VideoCodecContext

    try:
        context = av.CodecContext.create(name, "w")
        if not isinstance(context, VideoCodecContext):
            return False
        context.width, context.height = 640, 360  # some hardware refuses less than 256 pixels
        context.pix_fmt = "yuv420p"
        context.time_base = Fraction(1, 25)
        context.framerate = Fraction(25)
        context.open()
    except (av.error.FFmpegError, ValueError):
        return False  # not built in, no driver, no such device
    return True


def _providers() -> Iterator[Check]:
    if not _importable("onnxruntime"):
        return
    from facepick.models.device import choose

    ort = importlib.import_module("onnxruntime")
    available = list(ort.get_available_providers())
    chosen = choose("auto", available)
    yield Check(
        name="onnxruntime device",
        ok=True,
        detail=f"{chosen.device}; available: "
        + ", ".join(name.removesuffix("ExecutionProvider") for name in available),
    )
    if chosen.device == "cpu" and shutil.which("nvidia-smi"):
        yield Check(
            name="onnxruntime GPU",
            ok=False,
            detail="there is an NVIDIA driver but this onnxruntime computes on the CPU",
            fix="pip uninstall onnxruntime, then pip install onnxruntime-gpu",
            required=False,
        )


def _torch() -> Iterator[Check]:
    if not _importable("torch"):
        return
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        one = torch.cuda.get_device_properties(0)
        detail = f"CUDA: {one.name}, {one.total_memory / 1e9:.1f} GB"
    elif torch.backends.mps.is_available():
        detail = "Apple MPS"
    else:
        detail = "CPU"
    yield Check(name="torch device", ok=True, detail=detail, required=False)


def _espeak() -> Iterator[Check]:
    if not _importable("numpy"):
        return
    from facepick.notices import ESPEAK_HOW
    from facepick.speech.espeak import WHEEL, espeak_found, spoken_ipa

    use = "says the words of languages other than English for lip sync"
    found = espeak_found()
    ok = bool(found) and spoken_ipa("Guten Morgen", "de") is not None
    where = f"the package {WHEEL}" if found == WHEEL else found
    version = _version("espeakng-loader") if found == WHEEL else None
    if found and found != WHEEL:
        said = re.search(r"text-to-speech: (\S+)", _first_line([found, "--version"]))
        version = said.group(1) if said else None
    yield Check(
        name="espeak-ng",
        ok=ok,
        detail=f"{version or 'version unknown'}, {where}; {use}"
        if ok
        else f"{where} does not work; {use}"
        if found
        else f"not installed; {use}",
        fix="" if ok else f"Get it with {ESPEAK_HOW}.",
        required=False,
    )


def _models(store: ModelStore) -> Iterator[Check]:
    default = default_specs()
    for spec in default:
        path = store.find(spec)
        yield Check(
            name=f"model {spec.id}",
            ok=path is not None,
            detail=str(path) if path else f"{spec.file} is missing. {spec.purpose}",
            fix="" if path else store.how_to_get(spec),
        )
    for spec in all_specs():
        if spec in default:
            continue
        path = store.find(spec)
        yield Check(
            name=f"model {spec.id}",
            ok=path is not None,
            detail=str(path) if path else f"{spec.file} ({spec.licence}). {spec.purpose}",
            fix="" if path else store.how_to_get(spec),
            required=False,
        )


def _places(home: Path) -> Iterator[Check]:
    named = os.environ.get("FACEPICK_MODELS", "").split(os.pathsep)
    for folder in (Path(os.path.expanduser(n.strip())) for n in named if n.strip()):
        if not folder.is_dir():
            yield Check(
                name=f"folder {folder}",
                ok=False,
                detail="FACEPICK_MODELS names it but it does not exist",
                fix="Make it, or correct FACEPICK_MODELS.",
                required=False,
            )

    problem = _write_problem(home)
    yield Check(
        name="home",
        ok=not problem,
        detail=f"{home}: {problem}" if problem else str(home),
        fix="Set FACEPICK_HOME to a folder that you may write to." if problem else "",
    )
    if not problem:
        free = shutil.disk_usage(home).free
        yield Check(
            name="disk",
            ok=free >= _ROOM_BYTES,
            detail=f"{free / 1e9:.1f} GB free",
            fix=""
            if free >= _ROOM_BYTES
            else "Free some space, or set FACEPICK_HOME to a folder on another disk.",
        )


def _write_problem(folder: Path) -> str:
    """Say why nothing can be written there; empty when it can. Makes the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"facepick")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """Read the leading numbers of a version: ``2.13.0+cpu`` is (2, 13, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[+a-z]", version)[0])[:4])


def _first_line(argv: list[str | None]) -> str:
    try:
        done = subprocess.run(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.decode("utf-8", "replace").splitlines() or [""])[0]
