"""The signals: one number each for what a picture is like and what was seen on it. Pure.

===============  ================  ==============================================================================
signal           unit              definition
===============  ================  ==============================================================================
brightness       0..1              mean luma of the picture
contrast         0..0.5            standard deviation of luma
sharpness        no unit           mean absolute Laplacian of luma over its standard deviation
colour           -1..1             mean red less mean blue over their sum
blockiness       no unit           mean step of luma at the borders of the JPEG's blocks over that within them
face_size        share of a side   mean over faces of the root of the box's area, the picture's area being 1
score            0..1              mean score of the faces
without_mask     0..1              share of the faces without a mask
incorrect        0..1              share of the faces whose mask is worn incorrectly
faces            faces a frame     number of faces
agreement        0..1              F1 of the faces proposed against the faces that people confirmed
===============  ================  ==============================================================================

The first five come with the detection, and the first four are of a picture of the model's input size. What is
undefined, such as the score of no face, is NaN. Agreement is of a frame that somebody has labelled, which few are and
only later: it is told apart from the samples, by :mod:`processors.quality`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskwatch.drift_messages import SIGNALS, Kind, SignalName, Spread
from maskwatch.messages import DetectedFace, Detection, FrameSignals

Samples = NDArray[np.float32]
"""Shape (samples, signals), the signals in the order of :data:`SIGNALS`; NaN where one is undefined."""

Values = NDArray[np.floating[Any]]
"""Values of one signal, in the order of their times or sorted."""

DIGITS = 4


def measure(detection: Detection) -> tuple[float, ...]:
    """Return every signal of one detection, in the order of :data:`SIGNALS`; NaN where one is undefined.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from maskwatch.messages import FrameRef, FrameSignals, ModelRef
    >>> noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    >>> frame = FrameRef("door:s:1", "door", "s", 1, noon, 1280, 720, "frames.live.v1", 0, 0)
    >>> faces = (DetectedFace("with_mask", 0.9, (0, 0, 0.1, 0.4)), DetectedFace("without_mask", 0.7, (0, 0, 0.2, 0.2)))
    >>> seen = Detection(frame, ModelRef("m", "1", ""), noon, faces, FrameSignals(0.4, 0.2, 0.3, 0.1, 1.1))
    >>> [round(value, 3) for value in measure(seen)]
    [0.4, 0.2, 0.3, 0.1, 1.1, 0.2, 0.8, 0.5, 0.0, 2.0, nan]
    """
    looks, faces = detection.signals, detection.objects
    picture = (math.nan,) * 5 if looks is None else _look(looks)
    number = len(faces)
    if not number:
        return (*picture, math.nan, math.nan, math.nan, math.nan, 0.0, math.nan)
    return (
        *picture,
        sum(_side(face) for face in faces) / number,
        sum(face.score for face in faces) / number,
        sum(face.label == "without_mask" for face in faces) / number,
        sum(face.label == "mask_weared_incorrect" for face in faces) / number,
        float(number),
        math.nan,
    )


def _look(looks: FrameSignals) -> tuple[float, ...]:
    # Earlier workers did not measure it.
    blockiness = math.nan if looks.blockiness is None else looks.blockiness
    return looks.brightness, looks.contrast, looks.sharpness, looks.colour, blockiness


def _side(face: DetectedFace) -> float:
    x1, y1, x2, y2 = face.box
    return math.sqrt(max(0.0, x2 - x1) * max(0.0, y2 - y1))


def column(signal: SignalName) -> int:
    """Return the column of a signal in samples."""
    return SIGNALS.index(signal)


def defined(values: Values) -> Values:
    """Return the values of one signal that are defined.

    Examples
    --------
    >>> defined(np.array([0.5, np.nan, 1.0], np.float32)).tolist()
    [0.5, 1.0]
    """
    return values[~np.isnan(values)]


def spread(values: Values) -> Spread | None:
    """Say how values of one signal lie; None if there are none.

    Examples
    --------
    >>> spread(np.arange(11, dtype=np.float32))
    Spread(samples=11, mean=5.0, low=1.0, middle=5.0, high=9.0)
    """
    found = defined(values)
    if not found.size:
        return None
    low, middle, high = (round(float(value), DIGITS) for value in np.quantile(found, (0.1, 0.5, 0.9)))
    return Spread(int(found.size), round(float(found.mean()), DIGITS), low, middle, high)


def histogram(
    before: Values, after: Values, bars: int = 16
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Count two sets of values of one signal in the same bars.

    Returns
    -------
    edges, before, after
        `bars` + 1 edges, and the share of each set in each bar.

    Examples
    --------
    >>> histogram(np.array([0, 1], np.float32), np.array([1, 1], np.float32), bars=2)
    ((0.0, 0.5, 1.0), (0.5, 0.5), (0.0, 1.0))
    """
    sets = [defined(values) for values in (before, after)]
    both = np.concatenate(sets)
    if not both.size:
        return (), (), ()
    edges = np.histogram_bin_edges(both, bins=bars)
    shares = [np.histogram(values, edges)[0] / max(1, values.size) for values in sets]
    first, second = (tuple(round(float(share), DIGITS) for share in counted) for counted in shares)
    return tuple(round(float(edge), DIGITS + 1) for edge in edges), first, second


KIND_ORDER: tuple[Kind, ...] = ("input", "quality", "output")
"""Of an episode with several: what the picture is like explains what is seen on it."""
