"""What is said of models is written and read as ever; see :mod:`tests.contract.test_golden_bytes`."""

from datetime import UTC, datetime

import msgspec
import pytest

from maskwatch.messages import DetectedFace, MarkedFace, ModelRef
from maskwatch.model_messages import (
    Champion,
    Condition,
    Disagreement,
    ModelCommand,
    ModelVersion,
    PublishedModel,
    Run,
    Verdict,
)

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
)  # fmt: skip
VERDICT_JSON = (
    b'{"candidate":' + REF_JSON + b',"champion":' + REF_JSON + b',"precision":"int8","manifest":"' + b"01" * 32
    + b'","judged":' + NOON_JSON + b',"promote":true,"conditions":[{"name":"speed","outcome":"passed",'
    b'"needed":"at most 20 ms","value":14.2,"low":null,"high":null,"why":"","essential":false}],"p_better":0.97,'
    b'"shape":"wide","disagreements":[{"sha256":"' + b"ef" * 32 + b'","part":"holdout","source":"door","width":640,'
    b'"height":360,"faces":[{"label":"with_mask","box":[0.1,0.2,0.3,0.4]}],"champion":[],"candidate":[{'
    b'"label":"with_mask","score":0.91,"box":[0.1,0.2,0.3,0.4]}],"champion_mistakes":1,"candidate_mistakes":0}]}'
)  # fmt: skip

GOLDEN: list[tuple[msgspec.Struct, bytes]] = [
    (
        Champion(model=TWO, previous=None, since=NOON, command="c1", by="ann", why="better"),
        b'{"model":' + TWO_JSON + b',"previous":null,"since":' + NOON_JSON
        + b',"command":"c1","by":"ann","why":"better"}',
    ),
    (
        ModelCommand(id="c1", kind="promote", by="ann", at=NOON, model=TWO, instead_of=""),
        b'{"id":"c1","kind":"promote","by":"ann","at":' + NOON_JSON + b',"model":' + TWO_JSON
        + b',"instead_of":"","verdict":null,"why":""}',
    ),
    (
        ModelVersion(model=TWO, state="champion", changed=NOON, by="ann", why="better", verdict=VERDICT),
        b'{"model":' + TWO_JSON + b',"state":"champion","changed":' + NOON_JSON
        + b',"by":"ann","why":"better","verdict":' + VERDICT_JSON + b"}",
    ),
    (
        Run(id="r1", state="finished", started=NOON, updated=NOON, why="drift", labels=100, said="done", promote=True),
        b'{"id":"r1","state":"finished","started":' + NOON_JSON + b',"updated":' + NOON_JSON
        + b',"why":"drift","labels":100,"said":"done","promote":true,"attempts":1}',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=[type(message).__name__ for message, _ in GOLDEN])
def test_messages_are_written_and_read_as_ever(message: msgspec.Struct, golden: bytes) -> None:
    assert msgspec.json.encode(message) == golden
    assert msgspec.json.decode(golden, type=type(message)) == message
    later = golden[:-1] + b',"added_later":true}'
    assert msgspec.json.decode(later, type=type(message)) == message
