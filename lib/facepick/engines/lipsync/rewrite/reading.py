"""Reading of a mouth off a picture, more surely than one look of the mesh network does.

The network answers differently for the same picture when the square that it sees is a little
larger, smaller or turned: of three people its openings scatter by 0.006 to 0.010 eye distances,
where speech itself moves them by 0.035 to 0.045.  For a mouth under a moustache, seen from below,
that leaves a correlation of 0.86 between two looks at one picture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facepick.compositing.patch import BgrImage
from facepick.faces.detection import FloatArray
from facepick.faces.mesh import FaceMesh
from facepick.faces.warp import Halvings
from facepick.models.store import ModelStore

__all__ = ["MouthReader"]

Array = npt.NDArray[np.float32]

LOOKS = ((1.0, 0.0), (1.08, 0.0), (0.94, 0.0))
"""Size of the square against the usual one, and its turn in radians.  The mean of these three
misses that of ten others by 0.0032 and 0.0034 eye distances in two clips; one alone misses it by
0.0056 to 0.0062, two sizes and two turns (four looks) by 0.0027 and 0.0031."""
SURE = 0.5
"""A look that the network itself holds to show no face is left out."""


class MouthReader:
    """The mesh network, asked several times for one picture.

    Args:
        store: where the model file is found.

    Raises:
        MissingModelError: it is not there.
    """

    def __init__(self, store: ModelStore) -> None:
        self._network = FaceMesh(store)

    def read(self, image: BgrImage, mesh: FloatArray, seen: FloatArray | None = None) -> Array:
        """(468, 3) float32, pixels of `image`: see `look`."""
        return self.look(image, mesh, seen)[0]

    def look(
        self, image: BgrImage, mesh: FloatArray, seen: FloatArray | None = None
    ) -> tuple[Array, float]:
        """Give the mean of several looks, (468, 3) float32, and how sure they are in the mean.

        Args:
            image: (h, w, 3) uint8 BGR, a part of the picture that holds the face.
            mesh: (468, 3), the face's mesh in pixels of `image` as far as it is known; it is
                returned where the network sees no face, with 0.
            seen: (468, 3), what the first of `LOOKS` has given for this very picture.
        """
        halvings = Halvings(image)
        looks = [
            self._network.locate_again(halvings, mesh, grow=grow, turn=turn)
            for grow, turn in (LOOKS if seen is None else LOOKS[1:])
        ]
        sure = [(found, score) for found, score in looks if score >= SURE]
        if not sure:
            return np.asarray(mesh, np.float32), 0.0
        meshes, scores = zip(*sure, strict=True)
        if seen is not None:
            meshes = (seen, *meshes)
        return np.mean(meshes, axis=0, dtype=np.float32), float(np.mean(scores))
