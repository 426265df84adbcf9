"""What is said of models is written and read as ever; see :mod:`tests.contract.test_golden_bytes`."""

from datetime import UTC, datetime

import msgspec
import pytest

from maskwatch.messages import DetectedFace, MarkedFace, ModelRef
from maskwatch.model_messages import (
    Champion,
    Condition,
    Disagreement,
    EpochFigures,
    Lesson,
    ModelCommand,
    ModelVersion,
    PublishedModel,
    Run,
    RunProgress,
    SourceLabels,
    Verdict,
)
from maskwatch.shadow_messages import Shadowed
from tests.contract.test_golden_bytes import FRAME, FRAME_JSON

NOON = datetime(2026, 11, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOON_JSON = b'"2026-11-01T12:00:00.250000Z"'
TWO = PublishedModel("yolov8n-facemask", "2", "cd" * 32)
TWO_JSON = b'{"name":"yolov8n-facemask","version":"2","sha256":"' + b"cd" * 32 + b'"}'
REF = ModelRef("yolov8n-facemask", "1", "ab" * 32)
REF_JSON = b'{"name":"yolov8n-facemask","version":"1","sha256":"' + b"ab" * 32 + b'"}'
BOX = (0.1, 0.2, 0.3, 0.4)
VERDICT = Verdict(
    candidate=REF, champion=REF, precision="int8", manifest="01" * 32, judged=NOON, promote=True,
    conditions=(Condition(name="speed", outcome="passed", needed="at most 20 ms", value=14.2),), p_better=0.97,
    disagreements=(
        Disagreement(
            sha256="ef" * 32, part="holdout", source="door", width=640, height=360,
            faces=(MarkedFace("with_mask", BOX),), champion=(), candidate=(DetectedFace("with_mask", 0.91, BOX),),
            champion_mistakes=1, candidate_mistakes=0,
        ),
    ),
    sources=(SourceLabels(source="door", pictures=34, faces=90, champion=0.75, candidate=None, doubted=3),),
)  # fmt: skip
VERDICT_JSON = (
    b'{"candidate":' + REF_JSON + b',"champion":' + REF_JSON + b',"precision":"int8","manifest":"' + b"01" * 32
    + b'","judged":' + NOON_JSON + b',"promote":true,"conditions":[{"name":"speed","outcome":"passed",'
    b'"needed":"at most 20 ms","value":14.2,"low":null,"high":null,"why":"","essential":false}],"p_better":0.97,'
    b'"shape":"wide","disagreements":[{"sha256":"' + b"ef" * 32 + b'","part":"holdout","source":"door","width":640,'
    b'"height":360,"faces":[{"label":"with_mask","box":[0.1,0.2,0.3,0.4]}],"champion":[],"candidate":[{'
    b'"label":"with_mask","score":0.91,"box":[0.1,0.2,0.3,0.4]}],"champion_mistakes":1,"candidate_mistakes":0}],'
    b'"sources":[{"source":"door","pictures":34,"faces":90,"champion":0.75,"candidate":null,"doubted":3}]}'
)  # fmt: skip
PROGRESS = RunProgress(
    stage="training", share=0.5, epoch=2, epochs=10, seconds_left=90.5, expected_minutes=12.5,
    lesson=Lesson(learnt=66, holdout=34, rehearsed=400, drawn=264, faces={"with_mask": 210}, sources={"door": 100}),
    history=(EpochFigures(epoch=1, losses={"box": 1.25}, map50=0.5, map50_95=0.25, seconds=30.0),), model=TWO,
)  # fmt: skip
PROGRESS_JSON = (
    b'{"stage":"training","share":0.5,"epoch":2,"epochs":10,"seconds_left":90.5,"expected_minutes":12.5,"lesson":{'
    b'"learnt":66,"holdout":34,"rehearsed":400,"drawn":264,"faces":{"with_mask":210},"sources":{"door":100}},'
    b'"history":[{"epoch":1,"losses":{"box":1.25},"map50":0.5,"map50_95":0.25,"seconds":30.0}],"model":' + TWO_JSON
    + b"}"
)  # fmt: skip

GOLDEN: list[tuple[msgspec.Struct, bytes]] = [
    (
        Champion(model=TWO, previous=None, since=NOON, command="c1", by="ann", why="better"),
        b'{"model":' + TWO_JSON + b',"previous":null,"since":' + NOON_JSON
        + b',"command":"c1","by":"ann","why":"better"}',
    ),
    (
        Champion(model=None, previous=TWO, since=NOON, command="c2", by="watch", why="worse", rolled_back=True),
        b'{"model":null,"previous":' + TWO_JSON + b',"since":' + NOON_JSON
        + b',"command":"c2","by":"watch","why":"worse","rolled_back":true}',
    ),
    (
        Shadowed(FRAME, "c1", REF, REF, NOON, (DetectedFace("with_mask", 0.91, BOX),), ()),
        b'{"frame":' + FRAME_JSON + b',"promotion":"c1","champion":' + REF_JSON + b',"previous":' + REF_JSON
        + b',"looked":' + NOON_JSON
        + b',"by_champion":[{"label":"with_mask","score":0.91,"box":[0.1,0.2,0.3,0.4]}],"by_previous":[]}',
    ),
    (
        ModelCommand(id="c1", kind="promote", by="ann", at=NOON, model=TWO, instead_of=""),
        b'{"id":"c1","kind":"promote","by":"ann","at":' + NOON_JSON + b',"model":' + TWO_JSON
        + b',"instead_of":"","verdict":null,"why":"","run":""}',
    ),
    (
        ModelCommand(id="c2", kind="stop", by="ann", at=NOON, run="r1"),
        b'{"id":"c2","kind":"stop","by":"ann","at":' + NOON_JSON
        + b',"model":null,"instead_of":null,"verdict":null,"why":"","run":"r1"}',
    ),
    (
        ModelVersion(model=TWO, state="champion", changed=NOON, by="ann", why="better", verdict=VERDICT),
        b'{"model":' + TWO_JSON + b',"state":"champion","changed":' + NOON_JSON
        + b',"by":"ann","why":"better","verdict":' + VERDICT_JSON + b"}",
    ),
    (
        Run(id="r1", state="finished", started=NOON, updated=NOON, why="drift", labels=100, said="done", promote=True),
        b'{"id":"r1","state":"finished","started":' + NOON_JSON + b',"updated":' + NOON_JSON
        + b',"why":"drift","labels":100,"said":"done","promote":true,"attempts":1,"kind":"retrain","new_labels":0,'
        b'"asked":"","stopped_by":"","progress":null,"verdict":null}',
    ),
    (
        Run(
            id="r2", state="failed", started=NOON, updated=NOON, why="", labels=100, kind="evaluate", new_labels=40,
            stopped_by="ann", asked="c1", progress=PROGRESS, verdict=VERDICT,
        ),
        b'{"id":"r2","state":"failed","started":' + NOON_JSON + b',"updated":' + NOON_JSON
        + b',"why":"","labels":100,"said":"","promote":null,"attempts":1,"kind":"evaluate","new_labels":40,'
        b'"asked":"c1","stopped_by":"ann","progress":' + PROGRESS_JSON + b',"verdict":' + VERDICT_JSON + b"}",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "golden"), GOLDEN, ids=[f"{type(message).__name__}-{at}" for at, (message, _) in enumerate(GOLDEN)]
)
def test_messages_are_written_and_read_as_ever(message: msgspec.Struct, golden: bytes) -> None:
    assert msgspec.json.encode(message) == golden
    assert msgspec.json.decode(golden, type=type(message)) == message
    later = golden[:-1] + b',"added_later":true}'
    assert msgspec.json.decode(later, type=type(message)) == message


def test_a_round_that_an_earlier_version_told_of_is_read() -> None:
    first = (
        b'{"id":"r1","state":"finished","started":' + NOON_JSON + b',"updated":' + NOON_JSON
        + b',"why":"drift","labels":100,"said":"done","promote":true,"attempts":1}'
    )  # fmt: skip
    assert msgspec.json.decode(first, type=Run) == GOLDEN[-2][0]


def test_a_verdict_of_an_earlier_version_is_read() -> None:
    first = VERDICT_JSON.partition(b',"sources":')[0] + b"}"
    assert msgspec.json.decode(first, type=Verdict) == msgspec.structs.replace(VERDICT, sources=())
