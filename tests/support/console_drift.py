"""What the console's stand-in server says of drift: the API's own calls on a table and a history that tests fill."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
from fastapi import Depends, FastAPI, Response

from api import problems
from api.drift_table import DriftTable
from api.history import Past
from api.problems import PICTURE_GONE, ProblemError
from api.routers import episodes, signals
from maskwatch.drift_messages import CameraWindow, Episode
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support import drifting
from tests.support.scripted import scripted


@dataclass
class DriftStandIn:
    """What is known of drift. Everything may be changed while the server runs."""

    table: DriftTable = field(default_factory=DriftTable)
    windows: dict[str, list[CameraWindow]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """The cameras that are wished for."""
    before: bytes | None = None
    after: bytes | None = None
    failing: bool = False
    hang: bool = False
    away: bool = False

    def watch(self, camera: str, windows: Sequence[CameraWindow], name: str = "") -> None:
        """Have a camera's signals measured."""
        self.windows[camera] = list(windows)
        self.names[camera] = name or camera
        for window in windows[-1:]:
            self._take(Name.SIGNALS, window)

    def tell(self, episode: Episode, acknowledged: datetime | None = None) -> Episode:
        """Tell an episode, and its alert if it has one."""
        self._take(Name.DRIFT, episode)
        if episode.alert:
            self._take(Name.ALERTS, drifting.alert(episode, acknowledged, "ann" if acknowledged else ""))
        return episode

    def _take(self, name: Name, message: msgspec.Struct) -> None:
        record: Any = SimpleNamespace(value=msgspec.json.encode(message))
        self.table.take(name, record)

    def add_calls(self, app: FastAPI, token: Any) -> None:  # noqa: ANN401  # a function that returns the token
        """Add the calls to an app whose other calls a test makes up; a browser must have the token."""

        why = "What is known of drift is not read yet: reading drift.v1."
        as_scripted = scripted(token, lambda: self.hang, lambda: why if self.failing else "")

        async def windows(camera: str, since: datetime, until: datetime) -> Past:
            found = [window for window in self.windows.get(camera, []) if since <= window.end < until]
            return Past(found, found[-1].end + timedelta(milliseconds=1) if found else since)

        app.state.services = SimpleNamespace(
            settings=Settings(),
            drift=SimpleNamespace(table=self.table, history=SimpleNamespace(windows=windows), missing=""),
            cameras=self,
        )
        problems.install(app)

        @app.get("/episodes/{episode}/{moment}", dependencies=[Depends(as_scripted)])
        async def picture(episode: str, moment: str) -> Response:
            jpeg = {"before": self.before, "after": self.after}[moment]
            if jpeg is None:
                raise ProblemError(PICTURE_GONE, "Nothing of that moment is recorded any more, or ever was.")
            captured = self.table.episode(episode).since - timedelta(seconds=30)
            return Response(jpeg, media_type="image/jpeg", headers={"Captured": captured.isoformat()})

        @app.post("/alerts/{alert}/ack", dependencies=[Depends(as_scripted)])
        async def acknowledge(alert: str) -> Response:
            known = self.table.alert(alert)
            self._take(Name.ALERTS, msgspec.structs.replace(known, acknowledged=datetime.now(UTC), by="local"))
            return Response(status_code=204)

        for part in (signals, episodes):
            app.include_router(part.router, dependencies=[Depends(as_scripted)])

    # The API's roster, as far as the calls use it.

    @property
    def roster(self) -> "DriftStandIn":
        """Return itself: it is its own roster."""
        return self

    def __contains__(self, camera: object) -> bool:
        return camera in self.names

    def cameras(self) -> list[SimpleNamespace]:
        """Return the cameras that are wished for."""
        return [SimpleNamespace(id=camera, name=name) for camera, name in self.names.items()]


def evening(server_now: datetime, *, cameras: int = 3) -> DriftStandIn:
    """Return an evening: one camera's light has failed, one is being learned, the others are as usual."""
    told = DriftStandIn()
    minute = timedelta(minutes=1)
    out = server_now - 25 * minute
    dark = drifting.darkness("door-2", out)
    told.watch(
        "door-2",
        drifting.windows("door-2", server_now, 360, dark=(out, server_now + minute), episode=dark.id),
        "Back door",
    )
    told.tell(dark)
    then = server_now - 200 * minute
    told.tell(
        drifting.darkness(
            "door-2", then, ended=then + 12 * minute, sequence=400, signals=("sharpness",), alert=False,
            text="door-2 became blurrier",
        )
    )  # fmt: skip
    told.watch("desk", drifting.windows("desk", server_now, 9, learning=12, seed=4), "Desk")
    old = server_now - 90 * minute
    known = drifting.darkness("ward-3", old, ended=old + 30 * minute, sequence=70, text="ward-3 became bluer")
    for number in range(max(0, cameras - 2)):
        camera = f"ward-{3 + number}"
        told.watch(camera, drifting.windows(camera, server_now, 360, seed=10 + number, gap=40), f"Ward {3 + number}")
    if cameras > 2:
        told.tell(known, acknowledged=old + 5 * minute)
    return told
