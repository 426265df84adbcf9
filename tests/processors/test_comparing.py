"""Two models on recorded frames, side by side, by the command line."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from maskwatch import kafka as clients
from maskwatch.cli import main
from maskwatch.errors import BrokerError, ModelError, RecordingError
from maskwatch.topics import Name
from tests.support.command import maskwatch
from tests.support.models import another
from tests.support.recordings import frame, written
from tests.support.stack import CreateTopics, Kafka
from tests.support.traffic import GOLDEN


@pytest.fixture
def visit(tmp_path: Path) -> Path:
    """Two cameras; one frame is no picture."""
    frames = [frame(camera, number, jpeg=GOLDEN) for number in range(3) for camera in ("door", "hall")]
    return written(tmp_path / "visit.mcap", [*frames, frame("door", 9, jpeg=b"no picture")])


def test_two_models_are_counted_by_camera(visit: Path, tmp_path: Path) -> None:
    arguments = ["replay", str(visit), "--model", str(another(tmp_path / "new", "new"))]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0, told.output
    rows = [line.split() for line in told.output.splitlines()]
    assert "new / default" in told.output
    assert [row[1:6:2] for row in rows if len(row) > 1 and row[1] in {"door", "hall", "all"}] == [
        ["door", "3", "3"],
        ["hall", "3", "3"],
        ["all", "6", "6"],
    ]
    as_json = CliRunner().invoke(main, [*arguments, "--camera", "hall", "--json"])
    found = json.loads(as_json.output)
    assert list(found) == ["hall"]
    assert found["hall"]["first"] == found["hall"]["second"] == found["hall"]["agreed"] > 0


def test_what_cannot_be_compared_is_said(visit: Path) -> None:
    nobody = CliRunner().invoke(main, ["replay", str(visit), "--model", "default", "--camera", "nobody"])
    assert (nobody.exit_code, "holds no frame of nobody" in nobody.output) == (RecordingError.exit_code, True)
    three = CliRunner().invoke(main, ["replay", str(visit), *(["--model", "default"] * 3)])
    assert (three.exit_code, "at most" in three.output) == (2, True)
    missing = CliRunner().invoke(main, ["replay", str(visit), "--model", "nowhere"])
    assert (missing.exit_code, "no model in nowhere" in missing.output) == (ModelError.exit_code, True)


async def test_what_the_topic_keeps_since_some_time_is_looked_at(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path
) -> None:
    settings = kafka.settings()
    await create_topics(settings, Name.FRAMES_RECORDING)
    topic = f"{settings.kafka.topic_prefix}{Name.FRAMES_RECORDING}"

    async def record(camera: str, count: int) -> None:
        async with clients.running(clients.durable_producer(settings), settings) as producer:
            for number in range(count):
                one = frame(camera, number)
                await producer.send_and_wait(topic, GOLDEN, key=one.key, headers=list(one.headers))
            await producer.send_and_wait(topic, GOLDEN, key=camera.encode(), headers=[])

    new = str(another(tmp_path / "new", "new"))

    async def compare(*options: str) -> tuple[int, str, str]:
        with maskwatch(settings, "replay", "--model", new, "--json", *options) as process:
            out, err = await asyncio.to_thread(process.communicate, timeout=60)
        return process.returncode, out, err

    await record("door", 2)
    await asyncio.sleep(0.01)
    later = datetime.now(UTC)
    await record("door", 3)
    await record("hall", 1)
    code, out, err = await compare("--from", later.isoformat())
    assert code == 0, err
    assert {camera: one["frames"] for camera, one in json.loads(out).items()} == {"door": 3, "hall": 1}
    code, out, err = await compare("--from", "1h", "--camera", "door")
    assert code == 0, err
    assert {camera: one["frames"] for camera, one in json.loads(out).items()} == {"door": 5}
    code, _, err = await compare("--from", datetime.now(UTC).isoformat())
    assert code == RecordingError.exit_code
    assert "frames.recording.v1 holds no frame since" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--model", "default"], "name a FILE or"),
        (["visit.mcap", "--model", "default", "--from", "2h"], "name a FILE or"),
        (["--from", "2h"], "--from belongs to --model"),
        (["--model", "default", "--from", "lately"], "nor how long ago, such as 2h"),
        (["--model", "default", "--from", f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%dT%H:%M}"], "still to come"),
    ],
)
def test_where_frames_come_from_is_said_once(options: list[str], says: str) -> None:
    told = CliRunner().invoke(main, ["replay", *options])
    assert told.exit_code == 2
    assert says in " ".join(told.output.split())


def test_a_cluster_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKWATCH_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("MASKWATCH_KAFKA__TIMEOUT_S", "1")
    told = CliRunner().invoke(main, ["replay", "--model", "default", "--from", "2h"])
    assert (told.exit_code, "127.0.0.1:9" in told.output) == (BrokerError.exit_code, True)
