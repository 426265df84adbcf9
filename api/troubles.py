"""What is broken, since when, what is being done about it, and what a person should do: the operator's four questions.

Pure. Each trouble has a key, so that its beginning can be remembered for as long as it lasts.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from api.schemas import CameraState, Check
from maskwatch.holdings import Holdings
from maskwatch.quantities import say_duration
from maskwatch.topics import Name
from producers.shooting import ENDED, STOPPED

DAY_S = 86_400
LEAST_FREE = 0.05
"""Share of a disk under which it counts as nearly full."""

LATE_UPLOADS = 20
FIRST_PICTURE = timedelta(seconds=20)
"""So long after a camera came online nobody wonders where its first picture is."""

Severity = Literal["broken", "watch"]


class Trouble(NamedTuple):
    """One thing that is wrong, or is about to be."""

    key: str
    severity: Severity
    what: str
    since: datetime | None
    """None: when it was first seen must be remembered by whoever asks."""
    doing: str
    todo: str
    link: str
    """Where more is to be seen."""


class Seen(NamedTuple):
    """What there is to judge by."""

    now: datetime
    checks: Sequence[Check]
    cameras: Sequence[CameraState]
    ages: dict[str, float | None]
    """Seconds since each camera's newest joined frame; None if there is none, missing if nobody can tell."""
    holdings: Holdings | None
    """None while Kafka does not say."""
    full_in_s: float | None
    skipped: float
    """Share of live frames that no model looked at, 0..1."""


_CHECKS = {
    "kafka": (
        "Kafka does not answer: no picture moves, nothing is detected, and uploads are refused",
        "Every stage tries again by itself; with «maskwatch up» the broker is started anew.",
        "«maskwatch doctor» tells what is reachable. Is the broker's disk full?",
    ),
    "valkey": (
        "Valkey does not answer: live pictures stand still; detections and uploads go on",
        "It is tried again by itself; with «maskwatch up» it is started anew.",
        "«maskwatch doctor» tells whether it can be reached.",
    ),
    "cameras": ("The list of cameras is not read yet", "It is read as soon as Kafka gives it.", "Wait a moment."),
    "uploads": ("Uploads are not taken yet", "They are as soon as the ledger of answers is read.", "Wait a moment."),
}
_STAGES = {
    "detector": ("Nothing is detected: no detector runs", "maskwatch detector"),
    "live": ("Live pictures stand still: the stage «live» does not run", "maskwatch live"),
    "drift": ("Nobody watches for drift", "maskwatch drift"),
    "alerts": ("Nobody is told of drift: no alert is raised", "maskwatch alerts"),
    "dataset": ("Labels are not kept in the store: they wait in Kafka", "maskwatch dataset"),
    "archive": ("Answers to uploads are not archived", "maskwatch archive"),
    "rollout": ("Models are neither promoted nor rolled back", "maskwatch rollout"),
    "retrainer": ("No training starts by itself", "maskwatch retrainer"),
}
_BROKEN_STAGES = ("detector", "live")


def troubles(seen: Seen) -> list[Trouble]:
    """Return everything that is wrong, the worst first."""
    found = [*_of_checks(seen), *_of_stages(seen), *_of_cameras(seen), *_of_disk(seen), *_of_load(seen)]
    return sorted(found, key=lambda trouble: trouble.severity)


def _of_checks(seen: Seen) -> Iterator[Trouble]:
    for check in seen.checks:
        if not check.ok:
            what, doing, todo = _CHECKS.get(check.name, (f"{check.name} is away", "It is tried again by itself.", ""))
            text = f"{what} ({check.reason})." if check.reason else f"{what}."
            yield Trouble(f"check {check.name}", "broken", text, None, doing, todo, "")


def _of_stages(seen: Seen) -> Iterator[Trouble]:
    if seen.holdings is None:
        return
    running = {readers.stage for readers in seen.holdings.readers if readers.hosts}
    for stage in dict.fromkeys(readers.stage for readers in seen.holdings.readers):
        if stage not in running:
            what, command = _STAGES[stage]
            yield Trouble(
                f"stage {stage}",
                "broken" if stage in _BROKEN_STAGES else "watch",
                f"{what}.",
                None,
                "With «maskwatch up» a stage that ended is started anew by itself.",
                f"Elsewhere start one: «{command}». Its log says why it ended.",
                "",
            )


def _of_cameras(seen: Seen) -> Iterator[Trouble]:
    detects = seen.holdings is not None and any(
        readers.stage == "detector" and readers.hosts for readers in seen.holdings.readers
    )
    for camera in seen.cameras:
        if camera.paused:
            continue
        if camera.state == "offline" and _has_ended(camera):
            yield Trouble(
                f"ended {camera.id}",
                "watch",
                f"Camera «{camera.name}» has ended: {camera.reason}",
                camera.since,
                "Nothing: it does not begin again by itself.",
                f"Start it again, or remove it: «maskwatch cameras remove {camera.id}».",
                f"/live/{camera.id}",
            )
        elif camera.state == "offline":
            again = "; «Try again now» stands beside its picture" if camera.managed else ""
            yield Trouble(
                f"offline {camera.id}",
                "broken",
                f"Camera «{camera.name}» is offline: {camera.reason or 'its capture does not say why'}",
                camera.since,
                "It is tried again by itself, every minute at the latest.",
                f"See to its power and its network{again}.",
                f"/live/{camera.id}",
            )
        elif camera.state == "online" and detects and camera.id in seen.ages and not _shown(camera, seen):
            yield Trouble(
                f"silent {camera.id}",
                "broken",
                f"Camera «{camera.name}» gives frames, and none of them is shown",
                None,
                "Frames go on; what is too old by its turn is skipped.",
                "Are detector and live overloaded? More of either help at once.",
                f"/live/{camera.id}",
            )


def _has_ended(camera: CameraState) -> bool:
    """Tell whether a camera is offline because somebody ended its process, or because its clip is over."""
    # Of a camera that is everybody's the next capture goes on.
    return camera.reason == ENDED or (camera.reason == STOPPED and not camera.managed)


def _shown(camera: CameraState, seen: Seen) -> bool:
    """Tell whether a camera has a fresh picture, or is too young for one."""
    young = camera.since is not None and seen.now - camera.since < FIRST_PICTURE
    return seen.ages[camera.id] is not None or young


def _of_disk(seen: Seen) -> Iterator[Trouble]:
    held = seen.holdings
    if held is None or held.free is None or not held.total:
        return
    share = held.free / held.total
    soon = seen.full_in_s is not None and seen.full_in_s < DAY_S
    if share < LEAST_FREE or soon:
        when = f", and is full in {say_duration(seen.full_in_s or 0)} at this pace" if soon else ""
        yield Trouble(
            "disk",
            "broken" if share < LEAST_FREE / 5 else "watch",
            f"The disk of Kafka has {share:.0%} left{when}.".replace("%", " %"),
            None,
            "Topics give way at their caps and ages; other files do not.",
            "Make room, or lower kafka.disk_share and make the topics anew.",
            "",
        )


def _of_load(seen: Seen) -> Iterator[Trouble]:
    if seen.skipped > 0.5:  # noqa: PLR2004  # of two frames one
        yield Trouble(
            "skipped",
            "watch",
            f"The detectors skip {seen.skipped:.0%} of the live frames.".replace("%", " %"),
            None,
            "The newest of each camera is looked at; age stays low.",
            "Lower the cameras' rate, or start another detector: «maskwatch detector».",
            "",
        )
    for holding in seen.holdings.topics if seen.holdings else ():
        waiting = holding.lag.get("detector-upload", 0)
        if holding.name is Name.FRAMES_UPLOAD and waiting > LATE_UPLOADS:
            yield Trouble(
                "uploads",
                "watch",
                f"{waiting} uploads wait for a detector.",
                None,
                "They are answered in their order; none is lost.",
                "Start another detector if it stays so: «maskwatch detector».",
                "",
            )
