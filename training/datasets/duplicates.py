"""Find pictures that look alike: the same photograph, saved again, cropped a little, or taken a moment later."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskwatch.training_packages import PackagesMissingError
from training.errors import CatalogueError

try:
    import imagehash
except ModuleNotFoundError as error:
    raise PackagesMissingError("imagehash") from error

NEAR_DUPLICATE_BITS = 6
"""Of the 64 bits of a DCT hash. On facemask-voc the known near-identical pairs differ in at most this many."""

Fingerprint = NDArray[np.bool_]
"""Shape (64,): the perceptual hash (DCT) of a picture."""


def fingerprint(path: Path) -> Fingerprint:
    """Return a picture's perceptual hash.

    Raises
    ------
    CatalogueError
        If it cannot be decoded.
    """
    try:
        # Read here: OpenCV dies of a name that is not UTF-8.
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):  # the latter of an empty file
        image = None
    if image is None:
        raise CatalogueError(f"{path} cannot be decoded")
    bits = imagehash.phash(Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))).hash
    return np.asarray(bits, dtype=np.bool_).reshape(64)


def look_alikes(fingerprints: NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    """Yield the places of every two pictures whose fingerprints differ in a few bits.

    Parameters
    ----------
    fingerprints
        Shape (n, 64), boolean.
    """
    for index, bits in enumerate(fingerprints):
        near = np.flatnonzero((fingerprints[:index] != bits).sum(axis=1) <= NEAR_DUPLICATE_BITS)
        yield from ((int(other), index) for other in near)


def group(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """Join what belongs together, transitively.

    Parameters
    ----------
    names
        One name a picture, shape (n,).
    pairs
        Places of two pictures that belong together.

    Returns
    -------
    list of str
        The group of each picture: the smallest name in it.

    Examples
    --------
    >>> group(["d", "c", "b", "a"], [(0, 1), (1, 3)])
    ['a', 'a', 'b', 'a']
    """
    parent = list(range(len(names)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in pairs:
        parent[root(one)] = root(other)
    members: dict[int, list[int]] = defaultdict(list)
    for index in range(len(names)):
        members[root(index)].append(index)
    smallest = {node: min(names[index] for index in indices) for node, indices in members.items()}
    return [smallest[root(index)] for index in range(len(names))]
