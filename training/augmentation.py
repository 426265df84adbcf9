"""How pictures are altered while a model is trained, beyond what Ultralytics does: as cameras do it."""

import os
import random
from typing import Any

# Read by Ultralytics when it is imported: it fetches nothing, and its progress is not ours.
os.environ.setdefault("YOLO_OFFLINE", "1")
os.environ.setdefault("YOLO_AUTOINSTALL", "0")
os.environ.setdefault("YOLO_VERBOSE", "false")

import numpy as np
from numpy.typing import NDArray
from ultralytics.data import YOLODataset
from ultralytics.data.augment import RandomPerspective

from maskwatch.degradation import CHANGES, STRENGTHS, Change, degrade
from training.turning import map_faces

MOVES: frozenset[Change] = frozenset({"small"})
"""Changes that move what is in a picture: mosaic and scaling do that already, and take the boxes along."""


class Degrade:
    """Dim, blur and so on some of the training's pictures; the last change before they become tensors.

    Parameters
    ----------
    probability
        That a picture is changed at all.
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Change ``labels["img"]``, shape (height, width, 3), BGR."""
        if random.random() < self.probability:  # noqa: S311  # seeded by the loader
            change = random.choice([change for change in CHANGES if change not in MOVES])  # noqa: S311
            strength, seed = random.choice(STRENGTHS), random.getrandbits(32)  # noqa: S311
            rgb = np.ascontiguousarray(labels["img"][..., ::-1])
            labels["img"] = np.ascontiguousarray(degrade(rgb, change, strength, seed)[..., ::-1])
        return labels


class TurningFaces(RandomPerspective):  # type: ignore[misc]  # Ultralytics ships no types
    """Ultralytics' turning and scaling of pictures, with boxes that fit faces."""

    def apply_bboxes(self, bboxes: NDArray[np.floating], M: NDArray[np.floating]) -> NDArray[np.floating]:  # noqa: N803  # Ultralytics' name
        """Return boxes, in pixels, after an affine map: :func:`training.turning.map_faces`."""
        return map_faces(bboxes, M)


class CameraDataset(YOLODataset):  # type: ignore[misc]
    """Ultralytics' data set with :class:`Degrade` and :class:`TurningFaces`, also once mosaics are closed."""

    degraded = 0.0

    def build_transforms(self, hyp: Any) -> Any:  # noqa: ANN401  # Ultralytics'
        """Return the transforms in their order."""
        transforms = super().build_transforms(hyp)
        if not self.augment:
            return transforms
        # The first of them puts pictures together, then turns and scales them.
        (turning,) = (part for part in transforms.transforms[0].transforms if isinstance(part, RandomPerspective))
        turning.__class__ = TurningFaces
        if self.degraded:
            transforms.insert(len(transforms.transforms) - 1, Degrade(self.degraded))
        return transforms
