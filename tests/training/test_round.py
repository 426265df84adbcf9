"""A round of the learning loop, on a real Kafka and a real training: small, and without the base set."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from maskwatch.annotations import annotations, pictures_by_stem, read_annotation
from maskwatch.cli import main
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import MarkedFace
from maskwatch.model_messages import ModelVersion
from maskwatch.promoting import champion_of, versions_of
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import Name
from processors.rollout import roll_out
from producers.drawn import write_voc
from tests.support.stack import CreateTopics, Kafka
from tests.support.stage import variables
from tests.support.waiting import at_work, eventually
from training import gate

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ultralytics") is None, reason="the training packages are not here: make test TRAIN=1"
    ),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # torch warns about itself
]


def labelled(store: Store, folder: Path, count: int) -> None:
    """Let people have labelled drawn pictures."""
    write_voc(folder, count, 9)
    pictures = pictures_by_stem(folder)
    for number, file in enumerate(annotations(folder)):
        said = read_annotation(file)
        sides = (int(said.width), int(said.height)) * 2
        faces = tuple(
            MarkedFace(name, tuple(x / side for x, side in zip(box, sides, strict=True)))  # type: ignore[arg-type]
            for name, box in said.objects
        )
        sha256 = store.put(pictures[file.stem].read_bytes())
        label = FrameLabel(
            frame=f"door:s1:{number}", state="labelled", at=datetime.now(UTC), by="ann", faces=faces, sha256=sha256,
            width=sides[0], height=sides[1], source="door",
        )  # fmt: skip
        store.write_label(label.frame, msgspec.json.encode(label))


@pytest.fixture
async def settings(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    groups: dict[str, dict[str, Any]] = {
        "retrain": {"base": None, "rehearsal": 12, "epochs": 2, "image_size": 64},
        "gate": {"pictures": 2},
        "detector": {"precision": "fp32"},
    }
    settings = kafka.settings(**groups).model_copy(update={"data_dir": tmp_path / "data"})
    await create_topics(settings, Name.MODELS, Name.MODEL_VERSIONS, Name.COMMANDS)
    return settings


async def test_labels_become_a_judged_model_though_it_is_killed_on_the_way(settings: Settings, tmp_path: Path) -> None:
    labelled(Store(settings), tmp_path / "people", 12)
    out = tmp_path / "round"
    command = [sys.executable, "-m", "maskwatch", "retrain", "--here", "--out", str(out), "--why", "the light changed"]
    environment = os.environ | variables(settings)
    first = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # noqa: ASYNC220  # killed
    while not list(out.glob("training/run/weights/exact-*.pt")):
        assert first.poll() is None
        await asyncio.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait(10)

    async with at_work(roll_out, settings):
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]

        async def told() -> ModelVersion | None:
            return next(iter((await versions_of(settings)).values()), None)

        version = await eventually(told)
    # A training at 64 px makes it worse: it is refused, is known with its verdict, and serves nowhere.
    assert (version.state, version.why, await champion_of(settings)) == ("refused", "the light changed", None)
    assert {row.name for row in version.verdict.conditions} >= {gate.GAIN, gate.CHANCE, "speed"}
    assert "**refused**" in done.stdout
    assert "no worse: test, wide | not judged" in done.stdout
    # People's pictures are in the store alone.
    assert {path.name for path in out.rglob("*.jpg")} == {"golden.jpg"}
    # Once more changes nothing.
    again = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert again.returncode == 0, again.stderr[-3000:]


def test_without_labels_there_is_nothing_to_learn(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(settings).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["retrain", "--here"])
    assert done.exit_code == 1
    assert "nobody has labelled a picture" in done.output
