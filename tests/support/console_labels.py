"""What the console's stand-in server says of labels: the API's own calls on a table that tests fill."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from fastapi import Depends, FastAPI

from api.label_table import LabelTable, Waiting
from api.labelling import Said
from api.problems import AWAY, FRAME_HELD, LABEL_REFUSED, ProblemError
from api.routers import labels
from maskwatch.drift_messages import LabelRequest
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import FrameRef, ModelRef
from tests.support.scripted import scripted

MODEL = ModelRef("yolov8n-facemask", "1", "ab" * 32)


@dataclass
class LabelStandIn:
    """What is known of labels. Everything may be changed while the server runs."""

    table: LabelTable = field(default_factory=lambda: LabelTable(1000))
    jpegs: dict[str, bytes] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    live: bytes = b""
    """The picture of a frame that somebody asks for."""
    judging: dict[str, bytes] = field(default_factory=dict)
    """Pictures that judged a model, by hash."""
    said: list[Said] = field(default_factory=list)
    """All that was saved, in order."""
    failing: bool = False
    """Whether labels are taken at all."""
    away: bool = False
    hang: bool = False
    refusal: str = ""
    """Why the next label is refused."""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def ask(
        self, jpeg: bytes, size: tuple[int, int], objects: Sequence[Any], text: str = "", camera: str = "door-2"
    ) -> str:
        """Ask for a label; what is asked for first is offered first. Return the frame."""
        number = next(self._numbers)
        at = datetime.now(UTC) - timedelta(minutes=number)
        ref = FrameRef(f"{camera}:s1:{number}", camera, "s1", number, at, *size, "frames.live.v1", 3, number)
        said = f"{text or 'score 0.48, near the threshold'}, {camera}, {at:%H:%M} UTC"
        request = LabelRequest(ref, MODEL, tuple(objects), "near-threshold", said, at)
        self.table.take_request(Waiting(request, 0, number))
        self.jpegs[ref.id] = jpeg
        return ref.id

    def add_calls(self, app: FastAPI, token: Callable[[], str]) -> None:
        """Add the calls to an app whose services are there; a browser must have the token."""

        why = "What is known of labels is not read yet: reading labels.v1."
        as_scripted = scripted(token, lambda: self.hang, lambda: why if self.away else "")

        app.state.services.labels = self
        app.state.services.label_feed = SimpleNamespace(missing="")
        app.include_router(labels.router, dependencies=[Depends(as_scripted)])

    # What the calls use of :class:`api.labelling.Labelling`.

    @property
    def pictures(self) -> "LabelStandIn":
        """Return itself: it has the pictures too."""
        return self

    async def find(self, frame: str) -> bytes | None:
        """Return a picture."""
        return self.jpegs.get(frame)

    async def picture_of(self, sha256: str) -> bytes | None:
        """Return a picture that judged a model."""
        return self.judging.get(sha256)

    async def ask_for(self, request: LabelRequest) -> None:
        """Offer a frame that somebody asks for."""
        self.table.take_request(Waiting(request, 0, 0))
        self.jpegs[request.frame.id] = self.live

    async def take(self, holder: str, keep: Sequence[str], give_back: Sequence[str], most: int) -> list[Waiting]:
        """Give out what nobody else holds."""
        for frame in give_back:
            self.holders.pop(frame, None)
        waiting = {one.request.frame.id: one for one in self.table.waiting()}
        order = [*(frame for frame in keep if frame in waiting), *(frame for frame in waiting if frame not in keep)]
        mine = [frame for frame in order if self.holders.get(frame, holder) == holder][:most]
        self.holders |= dict.fromkeys(mine, holder)
        return [waiting[frame] for frame in mine]

    async def label(self, said: Said) -> FrameLabel:
        """Keep a label, or do with it what the test wants."""
        if self.failing:
            raise ProblemError(AWAY, "Kafka is away; nothing was changed.")
        if self.refusal:
            detail, self.refusal = self.refusal, ""
            raise ProblemError(LABEL_REFUSED, detail)
        if self.holders.get(said.frame, said.holder) != said.holder:
            raise ProblemError(FRAME_HELD, "Somebody else is labelling it: it was left for too long.")
        self.said.append(said)
        label = FrameLabel(said.frame, said.state, datetime.now(UTC), said.by, faces=said.faces, source="door-2")
        self.table.take_label(label)
        return label
