"""Models and rounds over HTTP: a real Kafka, the real rollout, and a store in a folder."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from api import commanding
from api.app import end
from maskwatch import kafka as clients
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import decode
from maskwatch.model_messages import ModelCommand, ModelVersion, Run, Verdict
from maskwatch.settings import Settings
from maskwatch.store import Store, name_of
from maskwatch.topics import Name
from processors.rollout import roll_out
from tests.api.routers.test_rest import problem
from tests.support import judged, labelling
from tests.support.front_door import FrontDoor, front_door
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all
from tests.support.waiting import at_work, eventually

TOPICS = (
    Name.MODELS, Name.MODEL_VERSIONS, Name.RUNS, Name.COMMANDS, Name.LABELS, Name.LABEL_REQUESTS,
)  # fmt: skip
OWN = ""
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
async def ours(kafka: Kafka, create_topics: CreateTopics, tmp_path: Path) -> Settings:
    settings = kafka.settings(store={"url": (tmp_path / "store").as_uri()})
    await create_topics(settings, *TOPICS)
    return settings


@asynccontextmanager
async def asking(settings: Settings, home: Path) -> AsyncIterator[tuple[FrontDoor, httpx.AsyncClient]]:
    """Run an API process that hears of models and labels, and of nothing else."""
    async with front_door(home, settings=settings) as door, door.client() as client:
        shared = door.services
        feeds = (shared.models, shared.label_feed, shared.broker)
        work = [asyncio.create_task(one.run()) for one in feeds]
        try:
            await eventually(lambda: not any(one.missing for one in feeds))
            yield door, client
        finally:
            await end(work)


async def write(settings: Settings, name: Name, *messages: msgspec.Struct) -> None:
    async with clients.running(clients.durable_producer(settings), settings) as producer:
        for message in messages:
            await put(producer, settings, name, key_of(message), msgspec.json.encode(message))


def key_of(message: msgspec.Struct) -> str:
    if isinstance(message, ModelVersion):
        return message.model.sha256
    if isinstance(message, Run):
        return message.id
    return message.frame if isinstance(message, FrameLabel) else "propose"


def proposed(version: str, told: Verdict | None) -> ModelCommand:
    now = datetime.now(UTC)
    return ModelCommand(
        id=f"c{version}", kind="propose", by="retrain", at=now, model=judged.model(version), verdict=told, why="drift"
    )


async def known(client: httpx.AsyncClient, count: int) -> list[dict[str, object]]:
    async def there() -> list[dict[str, object]]:
        found: list[dict[str, object]] = (await client.get("/models")).json()["versions"]
        return found if len(found) == count else []

    versions: list[dict[str, object]] = await eventually(there)
    return versions


def states(versions: Sequence[dict[str, object]]) -> dict[str, object]:
    return {one["model"]["version"]: one["state"] for one in versions}  # type: ignore[index]


async def test_versions_are_promoted_and_rolled_back_by_whoever_has_seen_the_champion(
    ours: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commanding, "ANSWER_S", 60)
    two, three = judged.model("2").sha256, judged.model("3").sha256
    async with at_work(roll_out, ours), asking(ours, tmp_path) as (_, client), asking(ours, tmp_path) as (_, other):
        nothing = (await client.get("/models")).json()
        assert (nothing["champion"], nothing["can_roll_back"], nothing["versions"]) == (None, False, [])
        assert nothing["own"]["name"] == "yolov8n-facemask"
        problem(await client.post("/models/roll-back", json={"champion": OWN}), "nothing-before")
        await write(ours, Name.COMMANDS, proposed("2", judged.verdict("2", gain=-0.01)), proposed("3", None))
        assert states(await known(client, 2)) == {"2": "refused", "3": "candidate"}

        served = (await client.post("/models/2/promote", json={"champion": OWN, "why": "I know better"})).json()
        assert (served["done"], served["champion"]["version"], served["previous"]) == (True, "2", None)
        assert (served["by"], served["why"]) == ("local", "I know better")
        problem(await client.post("/models/2/promote", json={"champion": two}), "champion-serves")
        # Another process, and somebody who has not looked since.
        await eventually(lambda: _serves(other, two))
        late = await other.post("/models/3/promote", json={"champion": OWN})
        assert "Meanwhile" in problem(late, "champion-changed")["detail"]
        assert (await other.post(f"/models/{three}/promote", json={"champion": two})).json()["done"]
        await eventually(lambda: _serves(client, three))
        back = (await client.post("/models/roll-back", json={"champion": three})).json()
        assert (back["done"], back["champion"]["version"], back["previous"]["version"]) == (True, "2", "3")
        assert states(await known(client, 2)) == {"2": "champion", "3": "retired"}
        brief = (await client.get("/models", params={"limit": 0})).json()
        assert (brief["champion"]["version"], brief["versions"]) == ("2", [])
        problem(await client.get("/models/4"), "unknown-model")
        problem(await client.post("/models/4/promote", json={"champion": two}), "unknown-model")
        problem(await client.post("/models/3/promote", json={"champion": "no hash"}), "invalid")


async def _serves(client: httpx.AsyncClient, sha256: str) -> bool:
    champion = (await client.get("/models")).json()["champion"]
    return champion is not None and champion["sha256"] == sha256


async def test_a_rollout_that_does_not_answer_is_told_and_of_two_at_once_one_wins(
    ours: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commanding, "ANSWER_S", 0.05)
    await write(ours, Name.MODEL_VERSIONS, judged.version("2", "candidate"), judged.version("3", "candidate"))
    async with asking(ours, tmp_path) as (_, client):
        await known(client, 2)
        asked = (await client.post("/models/2/promote", json={"champion": OWN})).json()
        assert (asked["done"], asked["champion"]) == (False, None)
        monkeypatch.setattr(commanding, "ANSWER_S", 60)
        late = asyncio.create_task(client.post("/models/3/promote", json={"champion": OWN}))
        await eventually(lambda: _commands(ours, 2))
        async with at_work(roll_out, ours):
            # The first command is carried out; the second has come too late, and is told so.
            problem(await late, "champion-changed")
            await eventually(lambda: _serves(client, judged.model("2").sha256))


async def _commands(settings: Settings, count: int) -> list[ModelCommand]:
    found = [decode(record.value, ModelCommand) for record in await read_all(settings, Name.COMMANDS)]
    return found if len(found) >= count else []


async def test_a_version_has_its_table_and_its_pictures_until_they_are_erased(ours: Settings, tmp_path: Path) -> None:
    jpegs = [labelling.jpeg(number) for number in (1, 2)]
    kept, erased = (name_of(jpeg) for jpeg in jpegs)
    for jpeg in jpegs:
        Store(ours).put(jpeg)
    gone = "12" * 32
    told = judged.verdict("2", pictures=(kept, erased, gone))
    await write(ours, Name.MODEL_VERSIONS, judged.version("2", "champion", told))
    await write(ours, Name.RUNS, judged.run("r1", made="2", told=told))
    await write(ours, Name.LABELS, FrameLabel("gate:s1:2", "erased", datetime.now(UTC), "ann", sha256=erased))
    async with asking(ours, tmp_path) as (_, client):
        await known(client, 1)
        whole = (await client.get("/models/2")).json()
        assert [row["name"] for row in whole["judged"]["conditions"]] == [row.name for row in told.conditions]
        assert [one["sha256"] for one in whole["judged"]["disagreements"]] == [kept, erased, gone]
        assert whole["judged"]["sources"][0] == msgspec.to_builtins(judged.SOURCES[0])
        assert (whole["run"], whole["lesson"]["sources"]) == ("r1", {"door-2": 70, "gate": 30})
        shown = await client.get(f"/models/2/pictures/{kept}")
        assert (shown.content, shown.headers["cache-control"]) == (jpegs[0], "no-store")
        for sha256 in (erased, gone, "34" * 32, "no-hash"):
            problem(await client.get(f"/models/2/pictures/{sha256}"), "picture-gone")


async def test_rounds_are_asked_for_watched_and_stopped(ours: Settings, tmp_path: Path) -> None:
    labels = [
        FrameLabel(f"gate:s1:{hours}", "labelled", judged.NOON - timedelta(hours=hours), "ann", sha256="ab" * 32)
        for hours in range(3)
    ]
    await write(ours, Name.LABELS, *labels)
    await write(ours, Name.MODEL_VERSIONS, judged.version("2", "refused"), judged.version("3", "champion"))
    async with asking(ours, tmp_path) as (_, client):
        await known(client, 2)
        nothing = (await client.get("/runs")).json()
        assert (nothing["runs"], nothing["running"], nothing["labels"], nothing["needed"]) == ([], None, 3, 100)
        asked = await client.post("/train", json={"why": "a new lamp"})
        assert (asked.status_code, asked.json()["after"]) == (202, None)
        assert asked.json()["expected_minutes"] == 0.1
        await write(ours, Name.RUNS, judged.run("r1", "running", done=4, labels=2, new=2))
        await eventually(lambda: _running(client, "r1"))
        (run,) = (await client.get("/runs")).json()["runs"]
        assert (run["progress"]["epoch"], run["progress"]["epochs"], run["verdict"]) == (5, 10, None)
        assert [one["epoch"] for one in run["progress"]["history"]] == [1, 2, 3, 4]
        assert (await client.get("/runs")).json()["labels"] == 1
        assert (await client.get("/labels/progress")).json()["labels"] == 1
        evaluation = (await client.post("/evaluate", json={"version": "2"})).json()
        assert evaluation["after"] == "r1"
        assert (await client.post("/runs/r1/stop")).status_code == 202
        problem(await client.post("/runs/r9/stop"), "unknown-run")
        train, evaluate, stop = await _commands(ours, 3)
        assert (train.kind, train.why, train.by) == ("retrain", "a new lamp", "local")
        assert (evaluate.kind, evaluate.id, evaluate.model) == ("evaluate", evaluation["run"], judged.model("2"))
        assert (stop.kind, stop.run) == ("stop", "r1")
        status = (await client.get("/status")).json()["learning"]
        # What is known of drift is not read here, and nothing is made up.
        assert status is None
        told = judged.verdict("2")
        await write(ours, Name.RUNS, judged.run("r1", made="2", told=told, labels=2, new=2))
        await eventually(lambda: _running(client, None))
        problem(await client.post("/runs/r1/stop"), "run-over")
        done = (await client.get("/labels/progress")).json()["done"]
        assert (done["labels"], done["gain"], done["model"]["version"]) == (2, 0.042, "2")


async def _running(client: httpx.AsyncClient, run: str | None) -> bool:
    return bool((await client.get("/runs")).json()["running"] == run)


async def test_the_champion_is_not_judged_against_itself(ours: Settings, tmp_path: Path) -> None:
    await write(ours, Name.MODEL_VERSIONS, judged.version("2", "champion"))
    async with clients.running(clients.durable_producer(ours), ours) as producer:
        await put(producer, ours, Name.MODELS, "detector", msgspec.json.encode(judged.champion("2")))
    async with asking(ours, tmp_path) as (_, client):
        await known(client, 1)
        problem(await client.post("/evaluate", json={"version": "2"}), "champion-serves")
        problem(await client.post("/evaluate", json={"version": "7"}), "unknown-model")


async def test_until_the_topics_are_read_nothing_is_said_and_a_browser_gets_the_page(tmp_path: Path) -> None:
    async with front_door(tmp_path) as door, door.client() as client:
        assert "models.v1" in problem(await client.get("/models"), "away")["detail"]
        for path in ("/models/2", "/runs", f"/models/2/pictures/{'12' * 32}"):
            problem(await client.get(path), "away")
        for path, body in (("train", {}), ("evaluate", {"version": "2"}), ("models/roll-back", {"champion": ""})):
            problem(await client.post(f"/{path}", json=body), "away")
        for path in ("/models", "/models/20261101"):
            page = await client.get(path, headers=HTML)
            assert (page.status_code, page.headers["vary"]) == (200, "Accept")
            assert "<!doctype html>" in page.text
            assert "frame-ancestors" in page.headers["content-security-policy"]
        refused = await client.post("/train", json={}, headers={"Origin": "http://elsewhere.example"})
        problem(refused, "forbidden-origin")


async def test_without_kafka_a_command_is_refused_and_nothing_is_written(ours: Settings, tmp_path: Path) -> None:
    async with asking(ours, tmp_path) as (door, client):
        broker = door.services.broker
        producer, broker._producer = broker._producer, None
        assert "Kafka is away" in problem(await client.post("/train", json={}), "away")["detail"]
        broker._producer = producer
        assert await _commands(ours, 0) == []
