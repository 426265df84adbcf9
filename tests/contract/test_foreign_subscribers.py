"""The programs in docs/subscribers.md, run as they stand there, against a real Kafka."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maskwatch import kafka as clients
from maskwatch.messages import DetectedFace, Detection, FrameInfo, FrameRef, ModelRef, encode, frame_headers
from maskwatch.settings import PROJECT, Settings
from maskwatch.topics import Name
from tests.support.stack import CreateTopics
from tests.support.topic import put
from tests.support.traffic import GOLDEN

DOCS = (PROJECT / "docs" / "subscribers.md").read_text()
NODE, NPM, KCAT = shutil.which("node"), shutil.which("npm"), shutil.which("kcat")
KAFKAJS = "kafkajs@2.2.4"
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def program(language: str, settings: Settings) -> str:
    """Return the program in a language, with the addresses of this test."""
    (text,) = (str(found) for found in re.findall(rf"```{language}\n(.*?)```", DOCS, re.DOTALL))
    prefix = settings.kafka.topic_prefix
    return (
        text.replace("127.0.0.1:9092", settings.bootstrap_servers)
        .replace('"detections.v1"', f'"{prefix}{Name.DETECTIONS}"')
        .replace("my-node-program", f"{prefix}node")
    )


def kcat_commands(settings: Settings) -> list[str]:
    """Return the commands that name kcat, with the addresses of this test, without what is said about them."""
    commands = [str(found) for found in re.findall(r"^ {4}(kcat .*?)(?:  +#.*)?$", DOCS, re.MULTILINE)]
    prefix = settings.kafka.topic_prefix
    return [
        command.replace("127.0.0.1:9092", settings.bootstrap_servers).replace("-t ", f"-t {prefix}")
        for command in commands
    ]


@pytest.fixture
async def ours(settings: Settings, create_topics: CreateTopics) -> Settings:
    await create_topics(settings, Name.DETECTIONS, Name.FRAMES_LIVE)
    return settings


async def see(settings: Settings) -> None:
    """Publish detections for ever."""
    faces = (DetectedFace("without_mask", 0.61, (0, 0, 1, 1)),)
    async with clients.running(clients.live_producer(settings, "gzip"), settings) as producer:
        for sequence in range(100_000):
            frame = FrameRef(f"demo:s:{sequence}", "demo", "s", sequence, NOON, 4, 3, "frames.live.v1", 0, sequence)
            detection = Detection(frame, ModelRef("m", "1", "a"), NOON, faces)
            value, headers = encode(detection, kind="x", source="/x", id=frame.id, time=NOON)
            await put(producer, settings, Name.DETECTIONS, "demo", value, headers)
            await asyncio.sleep(0.2)


@asynccontextmanager
async def running(settings: Settings, command: list[str], folder: Path, **env: str) -> AsyncIterator[str]:
    """Run a program while detections come, and give its first line."""
    seeing = asyncio.create_task(see(settings))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(90):
            line = (await process.stdout.readline()).decode()
        if not line and process.stderr is not None:
            raise AssertionError((await process.stderr.read()).decode())
        yield line
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        seeing.cancel()
        await asyncio.gather(seeing, return_exceptions=True)


async def test_python(ours: Settings, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(program("python", ours))
    prefix = {"MASKWATCH_KAFKA__TOPIC_PREFIX": ours.kafka.topic_prefix, "PYTHONPATH": str(PROJECT)}
    async with running(ours, [sys.executable, "program.py"], tmp_path, **prefix) as line:
        assert line == "demo ['without_mask']\n"


@pytest.mark.skipif(KCAT is None, reason="kcat is not installed: apt-get install kcat")
async def test_kcat(ours: Settings, tmp_path: Path) -> None:
    follow, save = kcat_commands(ours)
    async with running(ours, ["bash", "-c", f"exec {follow}"], tmp_path) as line:
        assert json.loads(line)["frame"]["camera"] == "demo"
    async with clients.running(clients.live_producer(ours), ours) as producer:
        await put(
            producer, ours, Name.FRAMES_LIVE, "demo", GOLDEN, frame_headers(FrameInfo("demo", "s", 1, NOON, 4, 3))
        )
    saving = await asyncio.create_subprocess_exec("bash", "-c", save, cwd=tmp_path, stderr=subprocess.DEVNULL)
    async with asyncio.timeout(60):
        assert await saving.wait() == 0
    assert (tmp_path / "frame.jpg").read_bytes().rstrip(b"\n") == GOLDEN.rstrip(b"\n")


@pytest.mark.skipif(NODE is None or NPM is None, reason="Node is not installed: apt-get install nodejs npm")
async def test_node(ours: Settings, tmp_path: Path) -> None:
    command = [str(NPM), "install", "--no-save", "--no-audit", "--no-fund", "--silent", KAFKAJS]
    installing = await asyncio.create_subprocess_exec(*command, cwd=tmp_path)
    async with asyncio.timeout(90):
        assert await installing.wait() == 0
    (tmp_path / "program.js").write_text(program("javascript", ours))
    async with running(ours, [str(NODE), "program.js"], tmp_path) as line:
        assert line == "demo without_mask 0.61\n"
