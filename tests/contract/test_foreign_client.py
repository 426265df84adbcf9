"""A client that knows nothing of us, kcat, reads what we write."""

import asyncio
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskwatch import kafka as clients
from maskwatch.messages import CameraStatus, FrameInfo, encode, frame_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.support.stack import CreateTopics
from tests.support.topic import put

KCAT = shutil.which("kcat")
pytestmark = pytest.mark.skipif(KCAT is None, reason="kcat is not installed: apt-get install kcat")


async def kcat(settings: Settings, name: Name, *arguments: str) -> bytes:
    topic = f"{settings.kafka.topic_prefix}{name}"
    command = [str(KCAT), "-q", "-b", settings.bootstrap_servers, "-C", "-t", topic, "-c", "1", "-e", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, timeout=60)
    return bytes(done.stdout)


async def test_a_frame_is_saved_as_a_picture(settings: Settings, create_topics: CreateTopics, tmp_path: Path) -> None:
    await create_topics(settings, Name.FRAMES_LIVE, Name.CAMERA_STATUS)
    now = datetime(2026, 11, 1, tzinfo=UTC)
    picture = np.full((90, 160, 3), 120, np.uint8)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        headers = frame_headers(FrameInfo("door", "s1", 7, now, 160, 90))
        await put(producer, settings, Name.FRAMES_LIVE, "door", jpeg, headers)
        value, headers = encode(
            CameraStatus("door", "online", now),
            kind="maskwatch.camera-status.v1",
            source="/capture",
            id="door",
            time=now,
        )
        await put(producer, settings, Name.CAMERA_STATUS, "door", value, headers)
    (tmp_path / "frame.jpg").write_bytes((await kcat(settings, Name.FRAMES_LIVE, "-D", ""))[: len(jpeg)])
    saved = cv2.imread(str(tmp_path / "frame.jpg"))
    assert saved is not None
    assert saved.shape == picture.shape
    told = (await kcat(settings, Name.FRAMES_LIVE, "-f", "%k|%h")).decode()
    assert told.startswith("door|")
    assert "ce_sequence=7" in told
    assert json.loads(await kcat(settings, Name.CAMERA_STATUS))["state"] == "online"
