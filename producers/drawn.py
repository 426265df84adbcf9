"""Make still pictures of drawn people, with the truth about every face: training data beside photographs.

Pictures range from a crowd of faces a few pixels high to one face that fills the picture, as at a webcam.
"""

from pathlib import Path

import cv2
import numpy as np

from maskwatch.annotations import write_annotation
from maskwatch.errors import SourceError
from maskwatch.messages import CLASSES, SceneKnobs
from producers.backdrop import paint_backdrop
from producers.cutout import LEAST_VISIBLE, Cutout, Placed, cut_out, lay, visible_faces
from producers.lens import look_through
from producers.people import FACE_UNITS, draw_person
from producers.source import Image, Shot
from producers.troupe import LABEL_SHARES

_KINDS_OF_PICTURE = ("close", "group", "crowd")
_KIND_SHARES = (0.42, 0.30, 0.28)
_TRIES = 12
_MOSTLY_VISIBLE = 0.8
"""Faces stay at least this visible, so that none is neither truth nor hidden."""


def draw_picture(rng: np.random.Generator, size: tuple[int, int] = (640, 480)) -> Shot:
    """Draw people before a backdrop, seen through a camera of random quality.

    Parameters
    ----------
    rng
        Decides everything.
    size
        Width and height in pixels, both at least 64.

    Returns
    -------
    Shot
        With the truth about every face of which at least `LEAST_VISIBLE` can be seen.
    """
    frame = _background(rng, size)
    scenery: list[Placed] = []
    for height in sorted(_face_heights(rng, size[1])):
        placed = _find_place(rng, height, scenery, size)
        if placed is not None:
            scenery.append(placed)
            lay(frame, placed)
    knobs = SceneKnobs(
        light=float(np.exp(rng.uniform(np.log(0.4), np.log(1.6)))) if rng.random() < 0.6 else 1.0,  # noqa: PLR2004
        blur=float(rng.uniform(0, 2) * rng.random()),
        noise=float(rng.uniform(0, 15)) if rng.random() < 0.6 else 0.0,  # noqa: PLR2004
        colour=float(rng.uniform(-0.5, 0.5)) if rng.random() < 0.6 else 0.0,  # noqa: PLR2004
    )
    truth = tuple(face for face, share in visible_faces(scenery, size) if share >= LEAST_VISIBLE)
    return Shot(look_through(frame, knobs, rng), truth)


def write_voc(folder: Path, count: int, seed: int, size: tuple[int, int] = (640, 480)) -> None:
    """Write drawn pictures as a Pascal VOC folder.

    Parameters
    ----------
    folder
        Gets ``images/drawn-00001.jpg`` and so on, and ``annotations/*.xml``; made if need be.
    count
        Number of pictures.
    seed
        The same seed gives the same pictures, whatever the count.
    size
        Width and height in pixels.

    Raises
    ------
    SourceError
        If the folder cannot be written to.
    """
    try:
        for part in ("images", "annotations"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            rng = np.random.default_rng((seed, number))
            shot = draw_picture(rng, size)
            name = f"drawn-{number:05}"
            quality = int(rng.integers(70, 96))
            _, jpeg = cv2.imencode(".jpg", shot.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
            (folder / "images" / f"{name}.jpg").write_bytes(jpeg.tobytes())
            (folder / "annotations" / f"{name}.xml").write_bytes(
                write_annotation(f"{name}.jpg", size, shot.truth or ())
            )
    except OSError as error:
        raise SourceError(f"{folder} cannot be written to ({error}): name a folder that can") from error


def _background(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Cut a random part out of a backdrop, out of focus or not."""
    width, height = size
    zoom = rng.uniform(1.0, 2.2)
    large = paint_backdrop(rng, (round(width * zoom), round(height * zoom))).image
    x, y = int(rng.integers(large.shape[1] - width + 1)), int(rng.integers((large.shape[0] - height) // 2 + 1))
    cut = np.ascontiguousarray(large[y : y + height, x : x + width])
    if rng.random() < 0.5:  # noqa: PLR2004
        cut = np.asarray(cv2.GaussianBlur(cut, (0, 0), rng.uniform(1, 8)), np.uint8)
    return cut


def _face_heights(rng: np.random.Generator, height: int) -> list[float]:
    """Return the heights of the faces in pixels."""
    kind = rng.choice(_KINDS_OF_PICTURE, p=_KIND_SHARES)
    if kind == "close":
        heights = [height * rng.uniform(0.28, 0.75)]
        if rng.random() < 0.2:  # noqa: PLR2004
            heights.append(height * rng.uniform(0.10, 0.25))
        return heights
    if kind == "group":
        return [height * float(rng.uniform(0.08, 0.32)) for _ in range(rng.integers(2, 7))]
    middle = rng.uniform(18, max(24, 0.10 * height))
    highest = max(24, 0.15 * height)
    return [float(np.clip(middle * rng.normal(1, 0.25), 14, highest)) for _ in range(rng.integers(5, 13))]


def _find_place(rng: np.random.Generator, face: float, scenery: list[Placed], size: tuple[int, int]) -> Placed | None:
    """Draw one more person and put them where they hide nobody; None where there is no room."""
    width, height = size
    cutout = _someone(rng, face, height)
    ((_, (x1, y1, x2, y2)),) = cutout.faces
    for _ in range(_TRIES):
        slack = (y2 - y1) * 0.1
        x = round(rng.uniform(-x1 - slack, max(width - x2 + slack, 1 - x1)))
        low, high = (0.02 * height, max(0.03 * height, height * 0.97 - (y2 - y1)))
        y = round(rng.uniform(low, min(high, 0.62 * height)) - y1)
        placed = Placed(cutout, x, y)
        if all(share >= _MOSTLY_VISIBLE for _, share in visible_faces([*scenery, placed], size)):
            return placed
    return None


def _someone(rng: np.random.Generator, face: float, height: int) -> Cutout:
    label = CLASSES[rng.choice(3, p=LABEL_SHARES)]
    # Down to the knees, or to the picture's edge for those who stand near.
    reach = float(np.clip(height / (face / FACE_UNITS) + 1.2, 2, 11))
    sprite = draw_person(rng, face, label, reach=reach)
    return cut_out(sprite.image, ((sprite.label, sprite.face),))
