"""What a camera is to capture: something that gives one picture after another.

`webcam`, `clip` and `scene` implement it. Capture calls `read` from a thread of the source's own, one call at a time.
"""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import MarkedFace

Image = NDArray[np.uint8]
"""Shape (height, width, 3), BGR."""


class Shot(NamedTuple):
    """One picture, and the truth about it where the source knows it (the demo scene does)."""

    image: Image
    truth: tuple[MarkedFace, ...] | None = None


class Source(Protocol):
    """Gives pictures until there are no more."""

    def read(self) -> Shot | None:
        """Return the next picture, or None at the end; may block for as long as the source's own pace asks.

        Raises
        ------
        SourceError
            If the source stops working; capture reopens it after a while.
        """

    def close(self) -> None:
        """Let go of the device or file; called once, never while `read` runs."""
