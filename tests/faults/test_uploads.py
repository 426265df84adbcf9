"""Uploads: whatever dies, each that was acknowledged is answered once; and whatever is sent, memory stays as it was."""

import asyncio
import io
import random
import signal
import zipfile
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import psutil
import pytest
from PIL import Image

from maskwatch.embedded.broker import free_port
from maskwatch.messages import Prediction, decode
from maskwatch.topics import Name
from tests.faults.conftest import Figure
from tests.support import stack
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.stage import MALLOC, Stage, stages
from tests.support.topic import read_all
from tests.support.traffic import GOLDEN
from tests.support.uploading import PATIENCE_S, Acknowledged, answer_to, put

if TYPE_CHECKING:
    from collections.abc import Mapping

TOPICS = (
    Name.CAMERAS,
    Name.CAMERA_STATUS,
    Name.FRAMES_LIVE,
    Name.FRAMES_UPLOAD,
    Name.PREDICTIONS,
    Name.FRAMES_UPLOAD_DLQ,
    Name.DETECTIONS,
)
AT_ONCE = 16
ROUNDS = 9
"""Of bad uploads."""


class Plan(NamedTuple):
    """How much, and what dies meanwhile."""

    uploads: int
    rate: float
    """A second, at most."""
    kills: int
    """Of workers."""
    restarts: int
    """Of the broker."""
    seed: int


SHORT = Plan(uploads=120, rate=15, kills=2, restarts=1, seed=1)
LONG = [Plan(uploads=2000, rate=25, kills=20, restarts=2, seed=seed) for seed in range(5)]


async def harm(plan: Plan, broker: Kafka, workers: list[Stage], seconds: float) -> None:
    """Kill workers and restart the broker, spread over so many seconds."""
    dice = random.Random(plan.seed)
    what = [*range(plan.kills), *[-1] * plan.restarts]
    dice.shuffle(what)
    for kind in what:
        await asyncio.sleep(seconds / (len(what) + 1))
        if kind < 0:
            broker.kill()
            await asyncio.sleep(2)
            await asyncio.to_thread(broker.start)
            continue
        worker = workers[kind % len(workers)]
        if worker.running.poll() is None:
            worker.signal(signal.SIGKILL)
            await worker.ended()
        worker.start()


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(SHORT, id="briefly"),
        *(
            pytest.param(plan, id=f"seed-{plan.seed}", marks=[pytest.mark.long, pytest.mark.timeout(900)])
            for plan in LONG
        ),
    ],
)
async def test_every_acknowledged_upload_is_answered_once(
    own_broker: Kafka, valkey: Valkey, create_topics: CreateTopics, figure: Figure, plan: Plan
) -> None:
    settings = own_broker.settings(
        kafka={"timeout_s": 5},
        valkey={"url": valkey.url},
        api={"port": free_port(stack.PORTS), "answer_timeout_s": 5},
    )
    await create_topics(settings, *TOPICS)
    variables = {**MALLOC, "MASKWATCH_DETECTOR__THREADS": "1"}
    workers = [
        Stage("detector", settings, script=None, MASKWATCH_DETECTOR__INSTANCE=name, **variables)
        for name in ("one", "two")
    ]
    seconds = plan.uploads / plan.rate
    places = asyncio.Semaphore(AT_ONCE)
    async with (
        stages(Stage("api", settings), *workers),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.api.port}", timeout=30) as client,
    ):

        async def one(number: int) -> Acknowledged:
            await asyncio.sleep(number / plan.rate)
            async with places:
                return await put(client, number)

        harming = asyncio.create_task(harm(plan, own_broker, workers, seconds))
        acknowledged = await asyncio.gather(*(one(number) for number in range(plan.uploads)))
        await harming
        identities = [upload.id for upload in acknowledged]
        answers = dict(zip(identities, await asyncio.gather(*(answer_to(client, i) for i in identities)), strict=True))
        again = await asyncio.gather(*(answer_to(client, identity) for identity in identities))
        repeated = await asyncio.gather(*(put(client, number) for number in range(0, plan.uploads, 10)))
    records = [decode(record.value, Prediction).upload for record in await read_all(settings, Name.PREDICTIONS)]
    written = Counter(records)
    lost = sum(answer is None or identity not in written for identity, answer in answers.items())
    # What was answered at once, later, later still, and to who sent it again is one answer.
    told: list[tuple[str, dict[str, Any] | None]] = [
        (upload.id, upload.answer) for upload in (*acknowledged, *repeated) if upload.answer is not None
    ]
    told += zip(identities, again, strict=True)
    changed = sum(answers.get(identity) != answer for identity, answer in told)
    renamed = sum(upload.id not in answers for upload in repeated)
    figure("uploads that were acknowledged and have no answer", lost, most=0)
    figure("uploads whose answer was another one later", changed, most=0)
    figure("uploads that got another id when they were sent again", renamed, most=0)
    figure("uploads that share an id", len(identities) - len(set(identities)), most=0)
    figure("answers in the topic for each upload", sum(written.values()) / len(written))
    longest = max(upload.took for upload in acknowledged)
    figure("longest that an upload took to be acknowledged", longest, "s", most=PATIENCE_S)


def packed(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def bomb() -> bytes:
    """A PNG of 900 million pixels in a megabyte."""
    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    return file.getvalue()


async def test_bad_uploads_leave_the_apis_memory_as_it_was(
    kafka: Kafka, valkey: Valkey, create_topics: CreateTopics, figure: Figure
) -> None:
    settings = kafka.settings(
        valkey={"url": valkey.url},
        api={
            "port": free_port(stack.PORTS),
            "answer_timeout_s": 0.2,
            "body_timeout_s": 2,
            "max_batch_bytes": 20_000_000,
        },
    )
    await create_topics(settings, *TOPICS)
    kinds: Mapping[str, tuple[str, bytes]] = {
        "too large": ("/predict", bytes(30_000_000)),
        "a bomb": ("/predict", bomb()),
        "cut off": ("/predict", GOLDEN[: len(GOLDEN) // 2]),
        "no picture": ("/predict", b"x" * 5_000_000),
        "a zip bomb": ("/batch-predict", packed("a.jpg", bytes(200_000_000))),
        "a broken archive": ("/batch-predict", packed("a.jpg", GOLDEN)[:-30]),
        "a broken video": ("/batch-predict", b"\0\0\0\x18ftypmp42" + bytes(5_000_000)),
    }
    async with (
        stages(Stage("api", settings)) as (api,),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.api.port}", timeout=60) as client,
    ):
        process = psutil.Process(api.running.pid)

        async def send(path: str, body: bytes) -> int:
            # Who is refused in the middle of a body may see the connection end before the answer.
            with suppress(httpx.TransportError):
                return (await client.post(path, content=body)).status_code
            return 0

        async def all_kinds() -> None:
            for kind, (path, body) in kinds.items():
                codes = await asyncio.gather(*(send(path, body) for _ in range(AT_ONCE // 2)))
                assert all(code == 0 or 400 <= code < 500 or code == 503 for code in codes), (kind, codes)
                assert any(codes), kind

        memory = []
        for _ in range(ROUNDS):
            await all_kinds()
            memory.append(process.memory_info().rss / 1e6)
        # Heaps breathe by tens of megabytes, by which thread met which body; what leaks stays above all that, and one
        # body that is kept is 30 of them.
        gained = min(memory[-3:]) - max(memory[:-3])
        sent = ROUNDS * len(kinds) * AT_ONCE // 2
        figure(f"memory that the API gained, lastingly, by {sent} bad uploads", gained, "MB", most=25)
        figure("memory of the API with them, at most", max(memory), "MB", most=300)
        assert (await client.get("/health")).status_code == 200
