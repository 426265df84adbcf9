"""The whole circle on the real stack: the scene changes, people label, a training starts by itself, the workers swap.

The training is of the labels and of drawn people alone, as on every stranger's machine. One form has small counts and a
short training and is part of `make test TRAIN=1`, the other has the settings of every day, but for the base set, and is
`make test-loop`. Everything else is as it is: a real Kafka, a real training, the real gate and the real rollout.
"""

import asyncio
import contextlib
import importlib.util
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from maskwatch import reading, verdicts
from maskwatch.messages import Detection, MarkedFace, decode, read_frame_headers
from maskwatch.model_messages import Run
from maskwatch.promoting import champion_of
from maskwatch.topics import Name, partition_count
from tests.support.labelling import jpeg
from tests.support.quick import QUICK
from tests.support.stage import until
from tests.support.topic import read_all
from tests.support.up import Up, prepared_home

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None, reason="the training packages are not here: make test TRAIN=1"
)

BEFORE, LABELS = 16, 44
SMALL = {
    **QUICK,
    "MASKWATCH_DRIFT__CONFIRM_LABELS": "10",  # not all of those before count: an episode may begin before it is noticed
    "MASKWATCH_SAMPLING__PER_DAY": "100000",
    "MASKWATCH_SAMPLING__RANDOM_SHARE": "0",
    "MASKWATCH_SAMPLING__DRIFT_EVERY_S": "1",
    "MASKWATCH_RETRAIN__LABELS": str(BEFORE + LABELS),
    "MASKWATCH_RETRAIN__BURST_S": "2",
    "MASKWATCH_RETRAIN__REHEARSAL": "16",
    "MASKWATCH_RETRAIN__EPOCHS": "6",
    "MASKWATCH_RETRAIN__IMAGE_SIZE": "576",
    "MASKWATCH_RETRAIN__LEARNING_RATE": "0.001",
    "MASKWATCH_GATE__PICTURES": "8",
    # A dozen pictures leave more to chance than any gain that so short a training brings.
    "MASKWATCH_GATE__CERTAINTY": "0.8",
    "MASKWATCH_GATE__CHANCE": "0.2",
    # So short a training forgets a little, and this machine may have other things to do.
    "MASKWATCH_GATE__TOLERANCE": "0.1",
    "MASKWATCH_GATE__CLASS_MARGIN": "0.2",
    "MASKWATCH_GATE__LATENCY_MS": "10000",
}
NO_BASE = {"MASKWATCH_RETRAIN__BASE": "nowhere.json"}
SWAPPED_S = 120
HOLDER = "the-circle"


class Form(NamedTuple):
    """How the circle is run."""

    variables: Mapping[str, str]
    before: int
    """Labels of the world as it was."""
    labels: int
    """Labels of the new one; all together start a round."""
    patience_s: float
    """Longest wait for a drift, and for so many labels."""
    training_s: float


@pytest.fixture(
    params=[
        pytest.param(Form(SMALL, BEFORE, LABELS, 300, 900), id="small", marks=pytest.mark.timeout(1500)),
        pytest.param(
            Form({}, 45, 55, 3000, 7200), id="production", marks=[pytest.mark.long, pytest.mark.timeout(4 * 3600)]
        ),
    ]
)
def form(request: pytest.FixtureRequest) -> Form:
    chosen: Form = request.param
    return chosen


@pytest.fixture
def running(form: Form, tmp_path: Path) -> Iterator[Up]:
    with Up.running(prepared_home(tmp_path), **NO_BASE, **form.variables) as up:
        up.wait_for("ready in ")
        yield up


async def seen(api: httpx.AsyncClient, path: str, what: Any, patience_s: float) -> Any:  # noqa: ANN401  # JSON
    """Ask until the answer is what is waited for, and return that."""
    found = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while not (found := what(answer := (await api.get(path)).json())):  # noqa: ASYNC110  # HTTP has no event
                await asyncio.sleep(0.5)
            return found
    raise AssertionError(f"{path} did not become so in {patience_s:g} s: {answer}")


def turn(up: Up, *knobs: str) -> None:
    subprocess.run([sys.executable, "-m", "maskwatch", "scene", "set", *knobs], env=up.env, check=True, timeout=120)


Truth = dict[str, tuple[MarkedFace, ...]]


@contextlib.asynccontextmanager
async def knowing(up: Up) -> AsyncIterator[Truth]:
    """Note what the demo scene says is true of its frames, by their ids."""
    truth: Truth = {}

    async def note() -> None:
        async for record in reading.follow(up.settings, Name.FRAMES_LIVE, partition_count(Name.FRAMES_LIVE)):
            info = read_frame_headers(record.headers)
            assert info.truth is not None  # of no other camera
            truth[info.id] = info.truth

    noting = asyncio.create_task(note())
    try:
        yield truth
    finally:
        noting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await noting


async def ask(api: httpx.AsyncClient, up: Up, count: int) -> None:
    """Put frames of this moment into the queue, one in two seconds, as «label this frame» does."""
    asked = 0.0
    async for record in reading.follow(up.settings, Name.DETECTIONS, partition_count(Name.DETECTIONS)):
        seen = msgspec.to_builtins(decode(record.value, Detection))
        if record.timestamp / 1000 < max(asked + 2, time.time() - 1):
            continue
        answer = await api.post("/labels/requests", json={name: seen[name] for name in ("frame", "model", "objects")})
        assert answer.status_code == 201, answer.text
        asked, count = time.time(), count - 1
        if not count:
            return


async def label(api: httpx.AsyncClient, truth: Truth, count: int, patience_s: float) -> None:
    """Say of so many frames that wait what is true of them, as a person would, over HTTP."""
    said: set[str] = set()
    async with asyncio.timeout(patience_s):
        while len(said) < count:
            taken = (await api.post("/labels/queue", json={"holder": HOLDER, "count": 20})).json()["frames"]
            for frame in [one["frame"] for one in taken if one["frame"] in truth]:
                faces = [{"label": face.label, "box": face.box} for face in truth[frame]]
                answer = await api.post("/labels", json={"frame": frame, "faces": faces, "holder": HOLDER})
                assert answer.status_code == 200, answer.text
                said.add(frame)
            await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def uploading(api: httpx.AsyncClient) -> AsyncIterator[list[httpx.Response]]:
    """Send a picture every half second meanwhile, each of them another."""
    answers: list[httpx.Response] = []

    async def send() -> None:
        for seed in range(100_000):
            answers.append(await api.post("/predict", content=jpeg(seed), headers={"Content-Type": "image/jpeg"}))
            await asyncio.sleep(0.5)

    sending = asyncio.create_task(send())
    try:
        yield answers
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


def watching(camera: dict[str, Any]) -> bool:
    return bool(camera["state"] == "watching")


def confirmed(episode: dict[str, Any]) -> bool:
    return bool((episode["confirmation"] or {}).get("confirmed"))


def models_of(answers: list[httpx.Response]) -> list[str]:
    return [answer.json()["model"]["version"] for answer in answers]


async def newest_detection(up: Up) -> Detection:
    records = await read_all(up.settings, Name.DETECTIONS)
    return decode(max(records, key=lambda record: record.timestamp).value, Detection)


async def newest_run(up: Up) -> Run | None:
    records = await read_all(up.settings, Name.RUNS)
    return decode(records[-1].value, Run) if records and records[-1].value is not None else None


async def test_a_new_world_is_noticed_labelled_and_learnt_while_the_picture_goes_on(running: Up, form: Form) -> None:
    up = running
    async with httpx.AsyncClient(base_url=up.url, timeout=60) as api, knowing(up) as truth:
        # 1. The world changes, and that is noticed.
        await seen(api, "/signals", lambda all_: any(map(watching, all_["cameras"])), form.patience_s)
        await ask(api, up, form.before)
        await label(api, truth, form.before, form.patience_s)
        await asyncio.to_thread(turn, up, "light=0.3", "blur=5", "noise=20")
        await seen(api, "/episodes", lambda all_: all_["episodes"], form.patience_s)
        # 2. People say what is true of the frames that were chosen for it, and by that confirm it.
        await label(api, truth, form.labels, form.patience_s)
        await seen(api, "/episodes", lambda all_: any(map(confirmed, all_["episodes"])), form.patience_s)
        # 3. A training starts by itself, for that reason, and its model passes the gate.
        async with uploading(api) as answers:
            run = None
            async with asyncio.timeout(form.training_s):
                while run is None or run.state == "running":
                    await asyncio.sleep(2)
                    run = await newest_run(up)
            judged = verdicts.rows(run.verdict) if run.verdict else []
            assert (run.state, run.promote, run.attempts) == ("finished", True, 1), (run.said, *judged)
            assert run.why == f"{run.labels} new labels, and a drift"
            # 4. Every worker looks with it, without a restart.
            champion = await champion_of(up.settings)
            assert champion is not None
            assert champion.model is not None
            version = champion.model.version

            await until(lambda: models_of(answers)[-1] == version, SWAPPED_S, "uploads are looked at by the new model")
        # A picture that the old one was looking at may be told of a moment later.
        async with asyncio.timeout(SWAPPED_S):
            while (await newest_detection(up)).model.version != version:  # noqa: ASYNC110  # a topic knows no event
                await asyncio.sleep(0.2)
        # 5. Nothing was lost meanwhile, and nobody went back to the old one.
        assert {answer.status_code for answer in answers} == {200}
        models = models_of(answers)
        assert models == sorted(models, key=lambda name: name == version)
        assert set(models) > {version}
