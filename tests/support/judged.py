"""Models as they come and go: versions with their verdicts, and the rounds that they are from; all of it made up."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from maskwatch.messages import DetectedFace, MarkedFace, ModelRef
from maskwatch.model_messages import (
    Champion,
    Condition,
    Disagreement,
    EpochFigures,
    Lesson,
    ModelVersion,
    PublishedModel,
    Run,
    RunProgress,
    RunState,
    SourceLabels,
    Verdict,
    VersionState,
)

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
BOX = (0.2, 0.2, 0.4, 0.6)
SOURCES = (
    SourceLabels(source="door-2", pictures=22, faces=70, champion=0.61, candidate=0.66, doubted=14),
    SourceLabels(source="gate", pictures=12, faces=0, champion=None, candidate=None, doubted=0),
)


def model(version: str) -> PublishedModel:
    """Return a model whose SHA-256 follows from its version."""
    return PublishedModel("yolov8n-facemask", version, f"{abs(hash_of(version)):064x}")


def hash_of(version: str) -> int:
    """Return a number that is the same in every process."""
    return int.from_bytes(version.encode().rjust(8, b"v")[-8:], "big") * 2_654_435_761 + 17


def verdict(
    version: str, *, against: str = "1", gain: float | None = 0.042, pictures: Sequence[str] = (), at: datetime = NOON
) -> Verdict:
    """Return a verdict; without a gain nobody could judge it, and it is refused."""
    passed = gain is not None and gain > 0.01
    candidate, champion = model(version), model(against)
    better = Condition(
        name="better on the holdout",
        outcome="not judged" if gain is None else "passed" if passed else "failed",
        needed="more than 0.01 mAP50-95 gained, with a probability of at least 95%",
        value=gain,
        low=None if gain is None else gain - 0.03,
        high=None if gain is None else gain + 0.03,
        why="12 pictures of the holdout, 30 are needed" if gain is None else "from 0.451 to 0.493",
        essential=True,
    )
    loads = Condition(name="loads and sees the golden picture", outcome="passed", needed="as its model.json says")
    frozen = Condition(
        name="no worse: test, wide", outcome="not judged", needed="at most 0.01 mAP50-95 lost",
        why="the data has no part «test»: «maskwatch data get» brings the base set",
    )  # fmt: skip
    speed = Condition(name="speed", outcome="passed", needed="a median of at most 20 ms", value=14.2)
    return Verdict(
        candidate=ModelRef(candidate.name, candidate.version, candidate.sha256),
        champion=ModelRef(champion.name, champion.version, champion.sha256),
        precision="int8",
        manifest="01" * 32,
        judged=at,
        promote=passed,
        conditions=(loads, better, frozen, speed),
        p_better=None if gain is None else 0.98 if passed else 0.41,
        disagreements=tuple(disagreement(sha256, number) for number, sha256 in enumerate(pictures)),
        sources=() if gain is None else SOURCES,
    )


def disagreement(sha256: str, number: int = 0, size: tuple[int, int] = (640, 360)) -> Disagreement:
    """Return a picture on which the candidate sees a face that the champion has missed."""
    return Disagreement(
        sha256=sha256, part="holdout", source="door-2", width=size[0], height=size[1],
        faces=(MarkedFace("with_mask", BOX),), champion=(),
        candidate=(DetectedFace("with_mask", 0.91, BOX),), champion_mistakes=1 + number % 3, candidate_mistakes=0,
    )  # fmt: skip


def version(
    name: str, state: VersionState, told: Verdict | None = None, *, at: datetime = NOON, why: str = "a new lamp"
) -> ModelVersion:
    """Return a version."""
    return ModelVersion(model=model(name), state=state, changed=at, by="local", why=why, verdict=told)


def champion(name: str, before: str | None = None, *, at: datetime = NOON, why: str = "a new lamp") -> Champion:
    """Return a champion."""
    previous = model(before) if before else None
    return Champion(model=model(name), previous=previous, since=at, command="c1", by="local", why=why)


LESSON = Lesson(
    learnt=66, holdout=34, rehearsed=400, drawn=264, faces={"with_mask": 210, "without_mask": 62},
    sources={"door-2": 70, "gate": 30},
)  # fmt: skip


def epochs(count: int) -> tuple[EpochFigures, ...]:
    """Return epochs that become better."""
    return tuple(
        EpochFigures(
            epoch=number, losses={"box": 1.3 - 0.02 * number, "cls": 0.9 - 0.03 * number, "dfl": 1.1 - 0.01 * number},
            map50=0.6 + 0.02 * number, map50_95=0.36 + 0.01 * number, seconds=26.4,
        )
        for number in range(1, count + 1)
    )  # fmt: skip


def run(  # noqa: PLR0913  # a round has this many sides
    identity: str = "20261101-114000",
    state: RunState = "finished",
    *,
    made: str | None = None,
    told: Verdict | None = None,
    done: int = 10,
    labels: int = 100,
    new: int = 100,
    at: datetime = NOON,
    said: str = "",
    stopped_by: str = "",
) -> Run:
    """Return a round of ten epochs, so many of which are done."""
    running = state == "running"
    progress = RunProgress(
        stage="training" if running else "proposing", share=done / 10, epoch=min(10, done + 1), epochs=10,
        seconds_left=26.4 * (10 - done) if running else None, expected_minutes=4.4, lesson=LESSON,
        history=epochs(done), model=model(made) if made else None,
    )  # fmt: skip
    return Run(
        id=identity, state=state, started=at - timedelta(minutes=10), updated=at, why="100 new labels, and a drift",
        labels=labels, new_labels=new, said=said, promote=told.promote if told else None, stopped_by=stopped_by,
        progress=progress, verdict=told,
    )  # fmt: skip
