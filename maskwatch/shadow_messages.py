"""What two models saw on the same frame, on the wire (``shadow.v1``): the one that serves, and the one before it."""

from datetime import datetime

import msgspec

from maskwatch.messages import DetectedFace, FrameRef, ModelRef


class Shadowed(msgspec.Struct, frozen=True):
    """A frame at which the model before the champion has looked too."""

    frame: FrameRef
    promotion: str
    """Id of the command that made the champion: what is said of another promotion is of other models."""
    champion: ModelRef
    previous: ModelRef
    looked: datetime
    by_champion: tuple[DetectedFace, ...]
    by_previous: tuple[DetectedFace, ...]
