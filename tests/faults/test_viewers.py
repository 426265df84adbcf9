"""Viewers that lose their server, take nothing, come over a slow line, or are many."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from maskwatch.embedded.broker import free_port
from maskwatch.settings import Settings
from tests.faults.conftest import Figure
from tests.support import stack
from tests.support.audience import Crowd, SlowSpectator, Spectator, at_work, greeting, watching, wish_for
from tests.support.stack import CreateTopics, Kafka, Valkey
from tests.support.stage import MALLOC, Stage, stages, until
from tests.support.traffic import GOLDEN, Cameras, Subscriber
from tests.support.up import Up, prepared_home
from tests.support.weight import weigh

RATE = 5
LIMIT = pytest.mark.timeout(240)
FOUR = ("door", "yard", "gate", "hall")
KB = len(GOLDEN) // 1000

WITHOUT_A_BOUND = """
from api import viewers
from maskwatch.cli import main

viewers.MOST_UNACKNOWLEDGED = 10**9
main()
"""
"""The API without its defence: it sends as fast as the pictures come, as long as the system takes them."""


class House(NamedTuple):
    """Everything behind a picture, running."""

    settings: Settings
    api: Stage
    seen: Subscriber

    @property
    def port(self) -> int:
        return self.settings.api.port

    def memory(self) -> float:
        """Return what the API holds, in MB."""
        return weigh({"api": self.api.running})["api"].memory

    def shown(self, start: float, end: float) -> Counter[str]:
        """Return which frames were detected between two moments, with a second to reach a viewer."""
        return Counter(a.detection.frame.id for a in self.seen.arrivals if start + 1 < a.at < end - 1)

    def share(self, spectator: Spectator, start: float, end: float) -> float:
        """Return how much of that a viewer has seen of its camera."""
        mine = {sight.live.frame.id for sight in spectator.sights}
        camera = spectator.sights[0].live.frame.camera
        wanted = {identity for identity in self.shown(start, end) if identity.startswith(f"{camera}:")}
        return len(wanted & mine) / len(wanted)


@asynccontextmanager
async def house(
    settings: Settings, cameras: tuple[str, ...], rate: float, script: Path | None = None
) -> AsyncIterator[House]:
    """Run detector, live and API, and cameras in front of them."""
    api = Stage("api", settings, *(["api"] if script else []), script=script)
    publisher = Cameras(settings, cameras, rate)
    seen = Subscriber(settings, publisher)
    await wish_for(settings, *cameras)
    async with stages(Stage("detector", settings, script=None, **MALLOC), Stage("live", settings), api):
        tasks = [asyncio.create_task(publisher.run()), asyncio.create_task(seen.run())]
        try:
            yield House(settings, api, seen)
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def settings(kafka: Kafka, valkey: Valkey, create_topics: CreateTopics) -> Settings:
    settings = kafka.settings(valkey={"url": valkey.url}, api={"port": free_port(stack.PORTS)})
    await create_topics(settings)
    return settings


async def test_viewers_of_a_killed_api_have_a_fresh_picture_again_and_nobody_else_notices(
    tmp_path: Path, figure: Figure
) -> None:
    with Up.running(prepared_home(tmp_path / "data")) as up:
        up.wait_for("ready in ")
        others = {name: child for name, child in up.children().items() if name != "api"}
        nobody = Cameras(up.settings, (), 1)
        seen = Subscriber(up.settings, nobody)
        reading = asyncio.create_task(seen.run())
        try:
            async with watching(up.port, "demo", "demo", "demo") as three:
                await until(lambda: all(len(spectator.sights) > 2 * RATE for spectator in three), 60, "pictures come")
                up.children()["api"].kill()
                killed = time.time()
                await until(
                    lambda: all(any(s.live.published.timestamp() > killed for s in v.since(killed)) for v in three),
                    60,
                    "all see again",
                )
                back = max(min(s.at for s in v.since(killed) if s.live.published.timestamp() > killed) for v in three)
                gap = seen.longest_gap(killed, time.time())
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert all(child.is_running() for child in others.values())
        assert [len(spectator.openings) for spectator in three] == [2, 2, 2]
    figure("API killed → fresh picture at every viewer", back - killed, "s", most=20)
    figure("longest time without a detection meanwhile", gap, "s", most=2)


@pytest.mark.long
async def test_a_viewer_that_reads_nothing_costs_the_others_nothing_and_is_closed(
    settings: Settings, figure: Figure
) -> None:
    async with house(settings, ("door",), RATE) as home, watching(home.port, *["door"] * 5) as good:
        await until(lambda: all(len(spectator.sights) > RATE for spectator in good), 60, "pictures come")
        began, memory = time.time(), home.memory()
        with greeting(f"ws://127.0.0.1:{home.port}/live/door") as (connection, protocol):
            connection.sendall(b"".join(protocol.data_to_send()))
            mine = connection.getsockname()[1]
            most = memory

            def held() -> bool:
                nonlocal most
                most = max(most, home.memory())
                return any(c.raddr[1:] == (mine,) for c in psutil.Process(home.api.running.pid).net_connections())

            await until(held, 10, "it is connected")
            closed = await until(lambda: not held(), 60, "it is closed")
            share = min(home.share(spectator, began, time.time()) for spectator in good)
    figure("frames that each of 5 viewers got beside one that reads nothing, as a share", share, least=0.95)
    figure("memory that the API gained by it", most - memory, "MB", most=20)
    figure("a viewer that reads nothing is closed after", closed, "s", most=40)


async def ages_over_a_slow_line(settings: Settings, seconds: float, script: Path | None = None) -> list[float]:
    """Return the ages of what somebody sees over a line that carries two fifths of what the camera gives."""
    line = SlowSpectator(settings.api.port, "door", 2 * len(GOLDEN))
    async with house(settings, ("door",), RATE, script), at_work([line]):
        await until(lambda: bool(line.sights), 60, "a picture comes")
        await asyncio.sleep(seconds)
        return [sight.age for sight in line.since(time.time() - 5)]


AGE_OVER_A_SLOW_LINE_S = 3.0


@pytest.mark.long
async def test_over_a_slow_line_pictures_are_fewer_and_not_older(settings: Settings, figure: Figure) -> None:
    ages = await ages_over_a_slow_line(settings, 15)
    figure(
        f"oldest picture over a line that carries 2 of 5 pictures of {KB} kB",
        max(ages),
        "s",
        most=AGE_OVER_A_SLOW_LINE_S,
    )
    figure("pictures a second over that line", len(ages) / 5, "1/s", least=1)


@pytest.mark.long
async def test_control_without_acknowledgements_pictures_over_a_slow_line_grow_old(
    settings: Settings, tmp_path: Path
) -> None:
    script = tmp_path / "without_a_bound.py"
    script.write_text(WITHOUT_A_BOUND)
    assert max(await ages_over_a_slow_line(settings, 15, script)) > AGE_OVER_A_SLOW_LINE_S


class Load(NamedTuple):
    """How many look at how much, and what they are promised."""

    viewers: int
    rate: int
    """Pictures a second of each camera."""
    seconds: float
    oldest_s: float
    """Age that 95 of 100 pictures keep."""
    fewest: float
    """Pictures a second of the viewer that gets fewest."""

    def __str__(self) -> str:
        return f"{self.viewers} viewers, {self.rate} pictures of {KB} kB a second from each of 4 cameras"


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(Load(60, 2, seconds=8, oldest_s=2, fewest=1), id="a-few"),
        pytest.param(Load(300, 2, seconds=20, oldest_s=2, fewest=1), id="many", marks=[pytest.mark.long, LIMIT]),
        pytest.param(Load(300, 10, seconds=20, oldest_s=4, fewest=0.3), id="too-much", marks=[pytest.mark.long, LIMIT]),
    ],
)
async def test_as_many_viewers_as_there_may_be_all_see_and_one_more_is_turned_away(
    settings: Settings, figure: Figure, load: Load
) -> None:
    api = settings.api.model_copy(update={"max_viewers": load.viewers})
    async with house(settings.model_copy(update={"api": api}), FOUR, load.rate) as home:
        await until(lambda: set(FOUR) <= {a.detection.frame.camera for a in home.seen.arrivals}, 60, "all are detected")
        async with Crowd(home.port, FOUR, load.viewers).gathered() as crowd:
            began = time.time()
            seen = await crowd.look_for(load.seconds)
            memory = home.memory()
            async with watching(home.port, "door") as (one_more,):
                await until(lambda: bool(one_more.closings), 20, "it is turned away")
        shown = home.shown(began, began + load.seconds)
    share = sum(seen.frames.get(identity, 0) for identity in shown) / (len(shown) * load.viewers / len(FOUR))
    figure(f"{load}: of the detected frames reached them, as a share", share, least=0.9)
    figure(f"{load}: age at the viewer, 95 of 100", seen.age(0.95), "s", most=load.oldest_s)
    figure(f"{load}: the one that gets fewest", seen.fewest / load.seconds, "1/s", least=load.fewest)
    figure(f"{load}: memory of the API", memory, "MB", most=250)
    assert not seen.lost
    assert one_more.closings[0] == (1013, f"{load.viewers} viewers are connected, as many as there may be")
    assert not one_more.sights
