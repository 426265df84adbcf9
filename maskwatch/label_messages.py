"""What people say about pictures, on the wire (``labels.v1``); it belongs to :mod:`maskwatch.messages`.

A record is whole, and its key is what it is about: the newest of a key is true, so a later label replaces an earlier
one. The picture itself lies in the store under the hash that the label names (:mod:`maskwatch.store`).
"""

import re
from datetime import datetime
from typing import Literal

import msgspec

from maskwatch.drift_messages import LabelRequest
from maskwatch.messages import DetectedFace, MarkedFace, ModelRef

OWN = "sha256:"
"""What the key of a picture begins with that is no camera's: its hash follows."""

_HASH = re.compile(r"[0-9a-f]{64}")


class Proposal(msgspec.Struct, frozen=True):
    """What the model had proposed, and why somebody was asked: quality and drift are judged by it."""

    model: ModelRef
    objects: tuple[DetectedFace, ...]
    why: str
    """As a label request says."""
    episode: str | None = None
    """The episode in which the frame was taken."""


class FrameLabel(msgspec.Struct, frozen=True):
    """What somebody says is on a picture (``labels.v1``)."""

    frame: str
    """The frame's id; of a picture that is no camera's, ``sha256:`` and its hash. It is the record's key."""
    state: Literal["labelled", "skipped", "erased"]
    """Skipped: looked at, and nothing can be said. Erased: the picture is gone, and whoever has it lets it go."""
    at: datetime
    by: str
    """Who."""
    made_by: Literal["person", "import", "model"] = "person"
    """People label here, or have labelled what is imported; what a model says of itself counts towards nothing."""
    faces: tuple[MarkedFace, ...] = ()
    """None on a labelled picture: there is no face on it."""
    sha256: str = ""
    """Of the JPEG in the store; empty if nothing was stored."""
    width: int = 0
    height: int = 0
    fingerprint: str = ""
    """Perceptual hash, 16 hexadecimal digits: look-alikes are found by it (:mod:`maskwatch.fingerprint`)."""
    source: str = ""
    """The camera, or what an import or a program calls itself."""
    captured: datetime | None = None
    proposal: Proposal | None = None

    @property
    def counts(self) -> bool:
        """Whether it counts towards a retrain."""
        return self.state == "labelled" and self.made_by != "model"


def own_key(sha256: str) -> str:
    """Return the key of a picture that is no camera's.

    Examples
    --------
    >>> own_key("ab12")
    'sha256:ab12'
    """
    return f"{OWN}{sha256}"


def own_hash(frame: str) -> str:
    """Return the hash that the key of a picture of one's own names; empty if it is no such key.

    Examples
    --------
    >>> own_hash("sha256:../../other"), own_hash("door-2:s1:7"), own_hash(own_key("ab" * 32)) == "ab" * 32
    ('', '', True)
    """
    name = frame.removeprefix(OWN)
    return name if name != frame and _HASH.fullmatch(name) else ""


def proposal_of(request: LabelRequest) -> Proposal:
    """Return what a label keeps of the request that it answers."""
    return Proposal(request.model, request.objects, request.why, request.episode)
