"""Interfaces of the detector, the embedder and the mesher that the people finder uses.

Other models plug in by these protocols; ``tests/contracts`` holds what they must fulfil.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from facepick.faces.detection import FaceBatch, FloatArray

__all__ = ["FaceDetector", "FaceEmbedder", "FaceMesher", "MeasuringEmbedder"]

Bgr = npt.NDArray[np.uint8]


@runtime_checkable
class FaceDetector(Protocol):
    """Detector of faces in a picture."""

    id: str

    def detect(self, image: Bgr) -> FaceBatch:
        """Detect all faces with a score of at least 0.3.

        Args:
            image: (h, w, 3) uint8 BGR with square pixels.

        Returns:
            Faces in pixels of `image`, by falling score.
        """
        ...


@runtime_checkable
class FaceEmbedder(Protocol):
    """Embedder of aligned faces: the cosine of two vectors says if they show one person.

    Attributes:
        id: name of the model, stored beside its embeddings.
        size: side of the square chip it takes, in pixels.
        dimension: length of a vector.
        same_person: cosine at which a pair of good faces is as likely one person as two.
    """

    id: str
    size: int
    dimension: int
    same_person: float

    def embed(self, chips: Bgr) -> FloatArray:
        """Embed aligned faces.

        Args:
            chips: (n, size, size, 3) uint8 BGR, aligned by `facepick.faces.alignment`.

        Returns:
            (n, dimension) float32, each of length 1.
        """
        ...


@runtime_checkable
class MeasuringEmbedder(Protocol):
    """Embedder whose vectors say by their length if there is a face at all.

    Attributes:
        face_length: length of the raw vector of a chip that is as likely a face as not.
    """

    face_length: float

    def raw(self, chips: Bgr) -> FloatArray:
        """Embed as `FaceEmbedder.embed`, but without bringing the vectors to length 1."""
        ...


@runtime_checkable
class FaceMesher(Protocol):
    """Mesher that lays the 468-point mesh over a face."""

    def locate(
        self, image: Bgr, landmarks5: FloatArray, origin: tuple[int, int] = (0, 0)
    ) -> tuple[FloatArray, float]:
        """Locate the mesh of one face.

        Args:
            image: (h, w, 3) uint8 BGR, a part of the picture that holds the face.
            landmarks5: (5, 2) float32 in display pixels.
            origin: (x, y) of the first pixel of `image` in display pixels.

        Returns:
            (468, 3) float32 in display pixels (z in the same unit, nearer is smaller) and how
            sure the network is that it saw a face, in [0, 1].
        """
        ...
