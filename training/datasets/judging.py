"""Judge what an annotation says about a picture: which faces are on it, what was put right, what was left out.

A picture comes with all its faces or not at all, for an unmarked face teaches that it is none. So a class that nobody
has explained, or a box that cannot be read, costs the picture. Only boxes that show nothing, outside of the picture or
under two pixels, are left out by themselves.
"""

from collections.abc import Mapping
from math import isfinite
from typing import NamedTuple

from maskwatch.messages import Box, Label, MarkedFace
from training.datasets.catalogue import Cause, Refusal, Repair
from training.datasets.classes import Meaning, plain
from training.datasets.contents import PIXELS_OF_THE_PICTURE, SHARES, Told

SMALLEST_SIDE = 2.0
"""Boxes with a side under this many pixels of the picture are left out: no detector can learn from them."""
ROUNDING = 0.11
"""Pixels that a side may lose when a box is written in one format and read from another."""
_SLIP = 0.01
"""Pixels; what is clipped by less came from rounding."""
_ASPECT_TOLERANCE = 1.03
SIDEWAYS = 5
"""EXIF orientations from here on swap width and height."""


class Shown(NamedTuple):
    """A picture as it is shown."""

    width: int
    height: int
    orientation: int = 1
    """EXIF's, which it was turned by."""


class Judged(NamedTuple):
    """What is on a picture."""

    faces: tuple[MarkedFace, ...] | None
    """None if the picture is left out."""
    refused: list[Refusal]
    repaired: list[Repair]


class _UnusableError(Exception):
    """The picture has to be left out."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause: Cause = cause


def judge(told: Told, shown: Shown, classes: Mapping[str, Meaning]) -> Judged:
    """Judge what an annotation says about a picture.

    Parameters
    ----------
    told
        What it says.
    shown
        What the picture measures.
    classes
        What names mean; see :func:`training.datasets.classes.table`.
    """
    judged = Judged((), [], [])
    try:
        return judged._replace(faces=_faces(told, shown, classes, judged))
    except _UnusableError as problem:
        # Repairs of what is not used would only confuse.
        return Judged(None, [Refusal(told.annotation, f"{told.path.name}: {problem}", problem.cause)], [])


def _faces(told: Told, shown: Shown, classes: Mapping[str, Meaning], judged: Judged) -> tuple[MarkedFace, ...]:
    _, refused, repaired = judged
    turn = _must_turn(told.size, shown)
    if turn and told.objects:
        reason = f"{told.path.name}: EXIF orientation {shown.orientation}"
        repaired.append(Repair(told.annotation, reason, "boxes were turned with the picture"))
    faces: dict[Box, Label] = {}
    for name, box in told.objects:
        meaning = _meaning(name, box, classes)
        if meaning == "-":
            refused.append(Refusal(told.annotation, f"a box of class {name!r}", "the class is left out, as told"))
            continue
        raw = _as_shares(box, told.size, shown)
        shares = _turned(raw, shown.orientation) if turn else raw
        straight = _straightened(shares)
        if straight != shares:
            repaired.append(Repair(told.annotation, _say(box), "a box had its corners swapped"))
        clipped = _clipped(straight)
        if min(_sides(clipped, shown)) < SMALLEST_SIDE - ROUNDING:
            reason = f"a {name} box, {_say(box)}"
            refused.append(Refusal(told.annotation, reason, "the box is outside or too small"))
            continue
        if _moved(straight, clipped, shown) > _SLIP:
            repaired.append(Repair(told.annotation, _say(box), "a box was clipped to the picture"))
        if clipped in faces and faces[clipped] != meaning:
            reason = f"{faces[clipped]} and {meaning} at {_say(box)}: keep the right one"
            raise _UnusableError("a face has two classes", reason)
        if clipped in faces:
            repaired.append(Repair(told.annotation, f"{name} at {_say(box)}", "a face was marked twice"))
        faces[clipped] = meaning
    return tuple(MarkedFace(label, box) for box, label in faces.items())


def _meaning(name: str, box: Box, classes: Mapping[str, Meaning]) -> Meaning:
    meaning = classes.get(plain(name))
    if meaning is None:
        raise _UnusableError("a class is not known", f"class {name!r}: --classes «{name}=with_mask», or «{name}=-»")
    if meaning != "-" and not all(map(isfinite, box)):
        raise _UnusableError("a box cannot be read", f"a {name} box has a side that is no number: {_say(box)}")
    return meaning


def _must_turn(size: tuple[float, float], shown: Shown) -> bool:
    """Say whether the boxes were made on the picture as it is stored, not as it is shown.

    Raises
    ------
    _UnusableError
        If the picture that was annotated has another shape.
    """
    if size in {PIXELS_OF_THE_PICTURE, SHARES}:
        return False
    width, height = size
    if not (width > 0 and height > 0 and isfinite(width) and isfinite(height)):
        raise _UnusableError("the annotation cannot be read", f"its picture's size is {width:g}x{height:g}")
    sideways = shown.orientation >= SIDEWAYS
    if sideways and size == (shown.height, shown.width) != (shown.width, shown.height):
        return True  # and not of an almost square picture as it is shown
    if _alike(width / height, shown.width / shown.height):
        return False
    if sideways and _alike(width / height, shown.height / shown.width):
        return True
    raise _UnusableError(
        "the annotation is of another picture",
        f"it was made for one of {width:g}x{height:g}; this one is {shown.width}x{shown.height}",
    )


def _alike(one: float, other: float) -> bool:
    return max(one / other, other / one) <= _ASPECT_TOLERANCE


def _as_shares(box: Box, size: tuple[float, float], shown: Shown) -> Box:
    width, height = (shown.width, shown.height) if size == PIXELS_OF_THE_PICTURE else size
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def _turned(box: Box, orientation: int) -> Box:
    """Turn a box, in 0..1, from the picture as it is stored, on its side, to the picture as it is shown.

    Examples
    --------
    >>> _turned((0.0, 0.0, 0.25, 0.5), 6)  # a quarter to the right
    (0.5, 0.0, 1.0, 0.25)
    """
    x1, y1, x2, y2 = box
    match orientation:
        case 5:
            return y1, x1, y2, x2
        case 6:
            return 1 - y2, x1, 1 - y1, x2
        case 7:
            return 1 - y2, 1 - x2, 1 - y1, 1 - x1
    return y1, 1 - x2, y2, 1 - x1


def _straightened(box: Box) -> Box:
    x1, y1, x2, y2 = box
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _clipped(box: Box) -> Box:
    x1, y1, x2, y2 = (min(max(0.0, place), 1.0) for place in box)
    return x1, y1, x2, y2


def _sides(box: Box, shown: Shown) -> tuple[float, float]:
    """Return width and height in pixels."""
    return (box[2] - box[0]) * shown.width, (box[3] - box[1]) * shown.height


def _moved(one: Box, other: Box, shown: Shown) -> float:
    """Return by how many pixels the edges differ at most."""
    sides = (shown.width, shown.height) * 2
    return max(abs(a - b) * side for a, b, side in zip(one, other, sides, strict=True))


def _say(box: Box) -> str:
    return ", ".join(f"{side:g}" for side in box)
