"""Models are swapped again and again under full load; nothing is lost, nothing doubled, and pictures stay fresh."""

import asyncio
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from statistics import quantiles

import httpx
import pytest

from maskwatch.embedded.broker import free_port
from maskwatch.messages import Prediction, decode
from maskwatch.promoting import promote
from maskwatch.settings import Settings
from maskwatch.topics import Name
from tests.faults.conftest import Figure
from tests.support import stack
from tests.support.models import another
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.stage import MALLOC, Stage, stages, until
from tests.support.topic import read_all
from tests.support.traffic import Subscriber, traffic
from tests.support.uploading import Acknowledged, answer_to, put
from tests.support.workers import CAMERAS

TOPICS = (
    Name.CAMERAS,
    Name.CAMERA_STATUS,
    Name.FRAMES_LIVE,
    Name.FRAMES_UPLOAD,
    Name.PREDICTIONS,
    Name.FRAMES_LIVE_DLQ,
    Name.FRAMES_UPLOAD_DLQ,
    Name.DETECTIONS,
    Name.MODELS,
    Name.MODEL_VERSIONS,
    Name.COMMANDS,
    Name.RUNS,
    Name.LABELS,
    Name.SHADOW,
)
RATE = 12
"""Of each of four cameras: some more than two cores can look at beside a broker and the API."""

UPLOADS_A_SECOND = 3
SWAPPED_S = 60
VERSIONS = ("a", "b")


@pytest.mark.timeout(400)
async def test_four_swaps_under_full_load(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path, figure: Figure
) -> None:
    # Ages are another's on a slow or busy machine: they are noted, and held against the long form on a quiet one.
    await swap(await prepared(kafka, valkey, create_topics, tmp_path), tmp_path, figure, 4)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_fifty_swaps_under_full_load(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, tmp_path: Path, figure: Figure
) -> None:
    await swap(await prepared(kafka, valkey, create_topics, tmp_path), tmp_path, figure, 50, oldest_s=0.4)


async def prepared(kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, folder: Path) -> Settings:
    settings = kafka.settings(valkey={"url": valkey.url}, api={"port": free_port(stack.PORTS)})
    settings = settings.model_copy(update={"data_dir": folder / "data"})
    await create_topics(settings, *TOPICS)
    return settings


async def swap(settings: Settings, folder: Path, figure: Figure, times: int, oldest_s: float | None = None) -> None:
    taken: list[Acknowledged] = []
    async with (
        stages(Stage("rollout", settings), Stage("detector", settings, script=None, **MALLOC), Stage("api", settings)),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.api.port}", timeout=60) as client,
        traffic(settings, CAMERAS, RATE) as (_, seen),
    ):
        for version in VERSIONS:
            await asyncio.to_thread(promote, settings, str(another(folder / version, version)), verdict=None, why="")
        await until(lambda: latest(seen) == {VERSIONS[-1]}, SWAPPED_S, f"{VERSIONS[-1]} looks")
        quiet = time.time()
        await asyncio.sleep(10)
        began = time.time()
        uploading = asyncio.create_task(upload(client, taken))
        swapped = []
        for version in islice(cycle(VERSIONS), times):
            await let_serve(client, version)
            swapped.append(await until(lambda name=version: latest(seen) == {name}, SWAPPED_S, f"{version} looks"))
        ended = time.time()
        uploading.cancel()
        await asyncio.gather(uploading, return_exceptions=True)
        answers = [one.answer or await answer_to(client, one.id) for one in taken]
        predictions = await read_all(settings, Name.PREDICTIONS)
    told = Counter(decode(record.value, Prediction).upload for record in predictions)
    fault = f"{times} swaps of models under full load"
    figure(f"{fault}: uploads lost", answers.count(None), most=0)
    figure(f"{fault}: uploads answered twice", sum(count > 1 for count in told.values()), most=0)
    figure(f"{fault}: detections repeated", len(seen.duplicates()), most=0)
    figure(f"{fault}: uploads", len(answers), least=times)
    figure(f"{fault}: age of detections, p95", age(seen, began, ended), "s", most=oldest_s)
    figure("the same without swaps: age of detections, p95", age(seen, quiet, began), "s")
    longest = 2.5 * oldest_s if oldest_s else None
    figure(f"{fault}: longest time without any detection", seen.longest_gap(began, ended), "s", most=longest)
    figure("the same without swaps: longest time without any detection", seen.longest_gap(quiet, began), "s")
    figure(f"{fault}: from the champion's record to its first detections", max(swapped), "s", most=30)


async def let_serve(client: httpx.AsyncClient, version: str) -> None:
    """Promote as the page of models does."""
    serves = (await client.get("/models")).raise_for_status().json()["champion"]["sha256"]
    (await client.post(f"/models/{version}/promote", json={"champion": serves})).raise_for_status()


async def upload(client: httpx.AsyncClient, taken: list[Acknowledged]) -> None:
    """Upload until cancelled; what is not acknowledged then is nobody's."""
    for number in range(10**6):
        taken.append(await put(client, number))
        await asyncio.sleep(1 / UPLOADS_A_SECOND)


def latest(seen: Subscriber) -> set[str]:
    """Return the versions that looked at the last frames."""
    return {arrival.detection.model.version for arrival in seen.arrivals[-4:]}


def age(seen: Subscriber, start: float, end: float) -> float:
    """Return the age within which 95 % of the detections of a time came, in seconds."""
    return quantiles([arrival.age for arrival in seen.arrivals if start < arrival.at < end], n=20)[-1]
