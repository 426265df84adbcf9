"""What the pages tell people to type with curl is typed, against a real API, Kafka, Valkey and worker."""

import asyncio
import json
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from maskwatch.topics import Name
from processors.detection import detect
from tests.api.routers.test_predict import GOLDEN, MODEL, TOPICS, door_to
from tests.contract.test_pages import PAGES
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.waiting import at_work, eventually

TYPED = [
    (name, str(command))
    for name, page in PAGES.items()
    for command in re.findall(r"^ {4}((?:curl |zip |for \w+ in .*; do ).*?)(?:  +#.*)?$", page, re.MULTILINE)
]


def lay_out(folder: Path) -> None:
    """Lay down the files that the pages speak of."""
    with Image.open(MODEL / "golden.jpg") as golden:
        picture = golden.convert("RGB")
    (folder / "photographs").mkdir()
    for name in ("photo.jpg", "one.jpg", "photographs/a.jpg", "photographs/b.jpg"):
        (folder / name).write_bytes(GOLDEN)
    picture.save(folder / "photo.png")
    picture.save(folder / "two.webp")
    shutil.make_archive(str(folder / "album"), "zip", folder / "photographs")
    with av.open(str(folder / "visit.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = (side // 2 * 2 for side in picture.size)
        stream.pix_fmt = "yuv420p"
        pixels = np.asarray(picture)[: stream.height, : stream.width]
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


def faces(answer: str) -> list[int]:
    """Return how many faces each picture of an answer has; a problem fails."""
    # Before an answer the picture's name may stand.
    lines = [json.loads(line[line.index("{") :]) for line in answer.splitlines()]
    return [len(item.get("answer", item)["objects"]) for line in lines for item in line.get("items", [line])]


async def typed(command: str, folder: Path) -> bytes:
    """Run a command as a shell does; of what never ends, the first line is enough."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-o", "pipefail", "-c", command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        if "curl -N" in command:
            line = await process.stdout.readline()
            with suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
            return line
        answer, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return answer


@pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("zip") is None, reason="curl or zip is missing: apt-get install"
)
async def test_what_is_to_be_typed_with_curl_is_answered(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path
) -> None:
    ours = kafka.settings(valkey={"url": valkey.url}, api={"answer_timeout_s": 40})
    learning = (Name.LABELS, Name.LABEL_REQUESTS, Name.MODELS, Name.MODEL_VERSIONS, Name.RUNS, Name.COMMANDS)
    await create_topics(ours, *TOPICS, Name.DETECTIONS, *learning)
    folder = tmp_path / "typed"
    folder.mkdir()
    lay_out(folder)
    uploads = 0
    async with door_to(ours, tmp_path) as (door, _), at_work(detect, ours):
        await eventually(lambda: not (door.services.models.missing or door.services.label_feed.missing))
        for page, command in TYPED:
            answer = await typed(command.replace("http://127.0.0.1:8000", door.url), folder)
            if "curl -N" in command:
                assert answer == b": listening\n", (page, command)
            elif "/models/roll-back" in command:  # nothing was promoted here
                assert json.loads(answer)["type"].endswith("nothing-before"), (page, command, answer)
            elif re.search("/(models|runs|train)( |$)", command):
                assert set(json.loads(answer)) & {"champion", "runs", "command"}, (page, command, answer)
            elif "-X DELETE" in command:  # of a frame that nobody here has
                assert json.loads(answer)["type"].endswith("unknown-frame"), (page, command, answer)
            elif " -o " in command:
                with (
                    Image.open(folder / command.rpartition(" -o ")[2]) as seen,
                    Image.open(folder / "photo.jpg") as sent,
                ):
                    assert seen.size == sent.size
            else:
                found = faces(answer.decode())
                assert found, (page, command)
                assert min(found) >= 1, (page, command)
                uploads += len(found)
    assert uploads >= 10
