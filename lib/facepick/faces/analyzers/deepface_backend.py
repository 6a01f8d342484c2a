"""deepface as a source of detectors and embedders.

Serengil and Ozpinar, *LightFace*, ASYU 2020, and *HyperExtended LightFace*, ICEET 2021.  Only its
models are used, never its pipeline: faces are found and aligned by facepick, and deepface gets
finished chips (``detector_backend="skip"``).

Two habits of deepface are kept out.  It would download a missing weight file the moment a model
is built; here the file is looked for first, and a missing one is an error that says what to
fetch.  And importing its front door changes warning filters and environment variables of the
whole process; here only its inner modules are imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facepick.errors import EngineError, MissingModelError, ModelMismatchError, PackageMissing
from facepick.faces.alignment import template
from facepick.faces.analyzer import FaceMesher
from facepick.faces.analyzers.facenet import looser_template
from facepick.faces.detection import Box, FaceBatch, FloatArray
from facepick.faces.five_points import batch_of, five_points
from facepick.paths import home_dir

__all__ = [
    "DEEPFACE_DETECTORS",
    "DEEPFACE_EMBEDDERS",
    "DeepFaceDetector",
    "DeepFaceDetectorInfo",
    "DeepFaceEmbedder",
    "DeepFaceModelInfo",
    "weights_folder",
]

log = logging.getLogger("facepick.faces.analyzers.deepface_backend")

_RELEASE = "https://github.com/serengil/deepface_models/releases/download/v1.0/"

FindFile = Callable[[str], Path | None]


@dataclass(frozen=True, kw_only=True)
class DeepFaceModelInfo:
    """One of deepface's recognition models.

    Attributes:
        id: our name, stored beside embeddings.
        name: deepface's name.
        file: of its weights, relative to deepface's folder of weights.
        url: where that file is published.
        width, height: of the chip it takes, in pixels.
        dimension: length of its vector.
        same_person: cosine of the threshold that deepface publishes for its own pipeline; a
            starting point only, `facepick evaluate` measures the right one.
        margin: how much more than an ArcFace chip it was trained to see.
        licence: of the weights.
        packages: what it needs besides deepface, as (module, PyPI name).
    """

    id: str
    name: str
    file: str
    url: str
    width: int
    height: int
    dimension: int
    same_person: float
    margin: float = 1.0
    licence: str
    packages: tuple[tuple[str, str], ...] = ()


DEEPFACE_EMBEDDERS: tuple[DeepFaceModelInfo, ...] = (
    DeepFaceModelInfo(
        id="deepface_sface",
        name="SFace",
        file="face_recognition_sface_2021dec.onnx",
        url="https://github.com/opencv/opencv_zoo/tree/main/models/face_recognition_sface",
        width=112,
        height=112,
        dimension=128,
        same_person=1 - 0.593,
        licence="Apache-2.0",
    ),
    DeepFaceModelInfo(
        id="arcface",
        name="ArcFace",
        file="arcface_weights.onnx",
        url=_RELEASE + "arcface_weights.onnx",
        width=112,
        height=112,
        dimension=512,
        same_person=1 - 0.68,
        licence="MIT",
    ),
    DeepFaceModelInfo(
        id="facenet",
        name="Facenet",
        file="facenet_weights.onnx",
        url=_RELEASE + "facenet_weights.onnx",
        width=160,
        height=160,
        dimension=128,
        same_person=1 - 0.40,
        margin=1.1,
        licence="MIT",
    ),
    DeepFaceModelInfo(
        id="facenet512",
        name="Facenet512",
        file="facenet512_weights.onnx",
        url=_RELEASE + "facenet512_weights.onnx",
        width=160,
        height=160,
        dimension=512,
        same_person=1 - 0.30,
        margin=1.1,
        licence="MIT",
    ),
    DeepFaceModelInfo(
        id="vgg_face",
        name="VGG-Face",
        file="vgg_face_weights.onnx",
        url=_RELEASE + "vgg_face_weights.onnx",
        width=224,
        height=224,
        dimension=4096,
        same_person=1 - 0.68,
        margin=1.1,
        licence="CC-BY-NC-4.0",
    ),
    DeepFaceModelInfo(
        id="ghostfacenet",
        name="GhostFaceNet",
        file="ghostfacenet_v1.onnx",
        url=_RELEASE + "ghostfacenet_v1.onnx",
        width=112,
        height=112,
        dimension=512,
        same_person=1 - 0.65,
        licence="MIT",
    ),
    DeepFaceModelInfo(
        id="deepface_dlib",
        name="Dlib",
        file="dlib_face_recognition_resnet_model_v1.dat",
        url="https://dlib.net/files/dlib_face_recognition_resnet_model_v1.dat.bz2",
        width=150,
        height=150,
        dimension=128,
        same_person=1 - 0.07,
        licence="public domain",
        packages=(("dlib", "dlib-bin"),),
    ),
    DeepFaceModelInfo(
        id="openface",
        name="OpenFace",
        file="openface_weights.onnx",
        url=_RELEASE + "openface_weights.onnx",
        width=96,
        height=96,
        dimension=128,
        same_person=1 - 0.10,
        licence="Apache-2.0",
    ),
    DeepFaceModelInfo(
        id="deepid",
        name="DeepID",
        file="deepid_weights.onnx",
        url=_RELEASE + "deepid_weights.onnx",
        width=47,
        height=55,
        dimension=160,
        same_person=1 - 0.015,
        licence="MIT",
    ),
    DeepFaceModelInfo(
        id="buffalo_l",
        name="Buffalo_L",
        file="buffalo_l/webface_r50.onnx",
        url="https://github.com/deepinsight/insightface/tree/master/model_zoo",
        width=112,
        height=112,
        dimension=512,
        same_person=1 - 0.55,
        licence="InsightFace, non-commercial research",
        packages=(("insightface", "insightface"),),
    ),
)


@dataclass(frozen=True, kw_only=True)
class DeepFaceDetectorInfo:
    """One of deepface's detectors.

    Attributes:
        id: our name.
        name: deepface's name.
        files: what it needs in deepface's folder of weights.
        url: where they are published.
        licence: of the weights and of the package that runs them.
        packages: what it needs besides deepface, as (module, PyPI name).
        first_opencv_without: it needs an older OpenCV than this major version; 0 for any.
    """

    id: str
    name: str
    files: tuple[str, ...] = ()
    url: str = ""
    licence: str
    packages: tuple[tuple[str, str], ...] = ()
    first_opencv_without: int = 0


DEEPFACE_DETECTORS: tuple[DeepFaceDetectorInfo, ...] = (
    DeepFaceDetectorInfo(
        id="retinaface",
        name="retinaface",
        files=("retinaface.onnx",),
        url="https://github.com/serengil/retinaface",
        licence="MIT",
        packages=(("retinaface", "retina-face"),),
    ),
    DeepFaceDetectorInfo(
        id="mtcnn",
        name="mtcnn",
        licence="MIT",
        packages=(("mtcnn", "mtcnn"), ("tensorflow", "tensorflow")),
    ),
    DeepFaceDetectorInfo(
        id="fastmtcnn",
        name="fastmtcnn",
        licence="MIT",
        packages=(("facenet_pytorch", "facenet-pytorch"),),
    ),
    DeepFaceDetectorInfo(
        id="ssd",
        name="ssd",
        files=("deploy.prototxt", "res10_300x300_ssd_iter_140000.caffemodel"),
        url="https://github.com/opencv/opencv_3rdparty/tree/dnn_samples_face_detector_20170830",
        licence="BSD-3-Clause",
        first_opencv_without=5,
    ),
    DeepFaceDetectorInfo(
        id="deepface_yunet",
        name="yunet",
        files=("face_detection_yunet_2023mar.onnx",),
        url="https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet",
        licence="MIT",
    ),
    DeepFaceDetectorInfo(
        id="deepface_centerface",
        name="centerface",
        files=("centerface.onnx",),
        url="https://github.com/Star-Clouds/CenterFace",
        licence="MIT",
    ),
    DeepFaceDetectorInfo(
        id="deepface_dlib",
        name="dlib",
        files=("shape_predictor_5_face_landmarks.dat",),
        url="https://dlib.net/files/shape_predictor_5_face_landmarks.dat.bz2",
        licence="BSL-1.0, weights public domain",
        packages=(("dlib", "dlib-bin"),),
    ),
    DeepFaceDetectorInfo(
        id="yolov8n",
        name="yolov8n",
        files=("yolov8n-face.pt",),
        url="https://github.com/derronqi/yolov8-face",
        licence="AGPL-3.0 (ultralytics)",
        packages=(("ultralytics", "ultralytics"), ("torch", "torch")),
    ),
)


def weights_folder() -> Path:
    """Find the folder of deepface's weights: ``DEEPFACE_HOME``, else one of facepick's own."""
    return _deepface_home() / ".deepface" / "weights"


def _deepface_home() -> Path:
    chosen = os.environ.get("DEEPFACE_HOME", "").strip()
    return Path(chosen).expanduser().absolute() if chosen else home_dir() / "deepface"


_building = threading.Lock()


@contextmanager
def _deepface(home: Path) -> Iterator[None]:
    """Lend deepface with our engine and our folder; the environment is as before afterwards."""
    ours = {"DEEPFACE_HOME": str(home), "DEEPFACE_BACKEND_ENGINE": "onnx"}
    # Its own logger prints to stdout, which belongs to the command line.
    ours.setdefault("DEEPFACE_LOG_LEVEL", os.environ.get("DEEPFACE_LOG_LEVEL", "40"))
    with _building:
        before = {key: os.environ.get(key) for key in ours}
        os.environ.update(ours)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value


def _import(module: str, needed_for: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "werkzeug":
            # deepface 0.0.103 imports it without declaring it.
            raise PackageMissing("werkzeug", needed_for=needed_for) from error
        raise PackageMissing("deepface", needed_for=needed_for, extra="deepface") from error


def _check_packages(packages: tuple[tuple[str, str], ...], needed_for: str) -> None:
    for module, package in packages:
        if importlib.util.find_spec(module) is None:
            raise PackageMissing(package, needed_for=needed_for)


def _place_weights(file: str, url: str, licence: str, find: FindFile | None) -> None:
    """Make sure deepface finds `file`, so that it never goes out to download it."""
    target = weights_folder() / file
    if target.is_file():
        return
    usual = Path.home() / ".deepface" / "weights" / file
    found = usual if usual.is_file() else (find(Path(file).name) if find else None)
    if found is None:
        raise MissingModelError(
            f"The model file {file} (licence: {licence}) is not on this machine.",
            hint=f"Download it from {url} and put it at {target}",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        # A second name costs nothing; across disks the bytes must be copied.
        os.link(found.resolve(), draft)
    except OSError:
        shutil.copyfile(found, draft)
    os.replace(draft, target)


def _build(task: str, name: str, needed_for: str) -> Any:
    modeling = _import("deepface.modules.modeling", needed_for)
    engine = importlib.import_module("deepface.commons.backend_utils").get_backend_engine()
    if engine != "onnx":
        raise EngineError(
            f"deepface was started in this process before, with its engine {engine}.",
            hint="Start facepick in a process of its own, or set DEEPFACE_BACKEND_ENGINE=onnx.",
        )
    try:
        return modeling.build_model(task=task, model_name=name)
    except ImportError as error:
        raise PackageMissing(str(error.name or name), needed_for=needed_for) from error
    except (ValueError, RuntimeError, AttributeError) as error:
        raise ModelMismatchError(
            f"deepface cannot load its {name}: {' '.join(str(error).split())[:200]}",
            hint=f"Delete the file in {weights_folder()} and put the right one there.",
        ) from error


def _model_info(model_id: str) -> DeepFaceModelInfo:
    for info in DEEPFACE_EMBEDDERS:
        if model_id in (info.id, info.name):
            return info
    raise ValueError(f"deepface has no recognition model {model_id!r}")


def _detector_info(detector_id: str) -> DeepFaceDetectorInfo:
    for info in DEEPFACE_DETECTORS:
        if detector_id == info.id:
            return info
    raise ValueError(f"deepface has no detector {detector_id!r}")


@dataclass(eq=False)
class DeepFaceEmbedder:
    """A recognition model of deepface on chips that facepick aligned.

    Args:
        model: id or deepface's name, one of `DEEPFACE_EMBEDDERS`.
        find: gives the path of a weight file by its name, or None; such a file is linked into
            deepface's folder.
        normalization: deepface's name for what is done to the pixels.

    Raises:
        MissingModelError: the weights are not on this machine; nothing is downloaded.
        PackageMissing: deepface or something it needs is not installed.
        ModelMismatchError: the weights do not load, or give vectors of another length.
    """

    model: str
    find: FindFile | None = None
    normalization: str = "base"
    id: str = field(init=False)
    size: int = field(init=False)
    dimension: int = field(init=False)
    same_person: float = field(init=False)
    template: FloatArray = field(init=False)

    BATCH = 32

    def __post_init__(self) -> None:
        self._info = info = _model_info(self.model)
        needed_for = f"the model {info.name}"
        self.id, self.dimension = info.id, info.dimension
        self.same_person = info.same_person
        # Chips are square; a model that wants another shape gets the middle of a larger one.
        self.size = max(info.width, info.height)
        self.template = (
            looser_template(self.size, info.margin) if info.margin != 1 else template(self.size)
        )
        if info.id == "deepface_dlib":
            from facepick.faces.analyzers.dlib import DlibEmbedder

            self.template = DlibEmbedder.template
        with _deepface(_deepface_home()):
            self._represent = _import("deepface.modules.representation", needed_for).represent
            _check_packages(info.packages, needed_for)
            _place_weights(info.file, info.url, info.licence, self.find)
            _build("facial_recognition", info.name, needed_for)
        got = self.raw(np.full((1, self.size, self.size, 3), 128, np.uint8)).shape[1]
        if got != info.dimension:
            raise ModelMismatchError(
                f"{info.file} gives {got} numbers; {info.name} gives {info.dimension}.",
                hint=f"Replace it by the file from {info.url}",
            )

    def __repr__(self) -> str:
        return f"DeepFaceEmbedder({self._info.name})"

    def raw(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, size, size, 3) uint8 BGR as (n, dimension) float32, as the network gives
        them."""
        if chips.ndim != 4 or chips.shape[1:] != (self.size, self.size, 3):
            raise ValueError(f"chips must be (n, {self.size}, {self.size}, 3), got {chips.shape}")
        left = (self.size - self._info.width) // 2
        top = (self.size - self._info.height) // 2
        fitted = chips[:, top : top + self._info.height, left : left + self._info.width]
        rows: list[list[float]] = []
        for at in range(0, len(fitted), self.BATCH):
            part = [np.ascontiguousarray(chip) for chip in fitted[at : at + self.BATCH]]
            answer = self._represent(
                img_path=part,
                model_name=self._info.name,
                detector_backend="skip",
                enforce_detection=False,
                align=False,
                normalization=self.normalization,
            )
            # One picture gives its list of faces, several give a list of such lists.
            faces = [answer] if len(part) == 1 else answer
            rows.extend(face[0]["embedding"] for face in faces)
        if not rows:
            return np.zeros((0, self.dimension), np.float32)
        return np.asarray(rows, np.float32)

    def embed(self, chips: npt.NDArray[np.uint8]) -> FloatArray:
        """Embed (n, size, size, 3) uint8 BGR as (n, dimension) float32 of length 1."""
        rows = self.raw(chips)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-9), np.float32)


class DeepFaceDetector:
    """A detector of deepface; points that it does not give come from the mesh.

    Args:
        detector: one of `DEEPFACE_DETECTORS`.
        mesher: gives the five points where the detector gives none or only the eyes.
        find: as for `DeepFaceEmbedder`.

    Raises:
        MissingModelError: the weights are not on this machine; nothing is downloaded.
        PackageMissing: deepface or something it needs is not installed.
        ModelMismatchError: the weights do not load.
    """

    def __init__(self, detector: str, mesher: FaceMesher, *, find: FindFile | None = None) -> None:
        import cv2

        info = _detector_info(detector)
        self.id = info.id
        self._mesher = mesher
        needed_for = f"the detector {info.id}"
        if info.first_opencv_without and int(cv2.__version__.split(".")[0]) >= (
            info.first_opencv_without
        ):
            raise PackageMissing(
                f"opencv-python<{info.first_opencv_without}", needed_for=needed_for
            )
        with _deepface(_deepface_home()):
            _import("deepface.modules.modeling", needed_for)
            _check_packages(info.packages, needed_for)
            for file in info.files:
                _place_weights(file, info.url, info.licence, find)
            self._net = _build("face_detector", info.name, needed_for)

    def detect(self, image: npt.NDArray[np.uint8]) -> FaceBatch:
        """Detect faces in pixels of `image`, by falling score."""
        boxes: list[Box] = []
        scores: list[float] = []
        landmarks: list[FloatArray] = []
        # Some of them load their file anew at every call.
        with _deepface(_deepface_home()):
            areas = self._net.detect_faces(image)
        for area in areas:
            box = Box(float(area.x), float(area.y), float(area.x + area.w), float(area.y + area.h))
            if box.width < 1 or box.height < 1:
                continue
            boxes.append(box)
            scores.append(1.0 if area.confidence is None else float(area.confidence))
            landmarks.append(self._points(image, box, area))
        return batch_of(boxes, scores, landmarks)

    def _points(self, image: npt.NDArray[np.uint8], box: Box, area: Any) -> FloatArray:
        five = (area.right_eye, area.left_eye, area.nose, area.mouth_right, area.mouth_left)
        if all(point is not None for point in five):
            return np.asarray(five, np.float32)
        eyes = None
        if area.right_eye is not None and area.left_eye is not None:
            eyes = (tuple(map(float, area.right_eye)), tuple(map(float, area.left_eye)))
        return five_points(image, box, self._mesher, eyes=eyes)  # type: ignore[arg-type]
