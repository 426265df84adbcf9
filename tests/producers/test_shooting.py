import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
import simplejpeg
import structlog
from prometheus_client import REGISTRY

from maskwatch.errors import SourceError
from maskwatch.messages import Camera, CameraStatus, FrameInfo, MarkedFace
from producers.cadence import Wait
from producers.jpeg import Jpeg, to_jpeg
from producers.shooting import Shooting, shoot
from producers.source import Image, Shot, Source
from producers.status import Statuses
from tests.support.sources import ListPublisher, ListSource, picture
from tests.support.waiting import eventually

_names = (f"shot-{number}" for number in itertools.count())
TRUTH = (MarkedFace(label="with_mask", box=(0.1, 0.2, 0.3, 0.4)),)


class Bench(NamedTuple):
    """What a camera is captured with, and what came of it."""

    camera: Camera
    frames: ListPublisher
    statuses: Statuses
    published: list[CameraStatus]
    news: list[str]
    encoder: ThreadPoolExecutor

    def tools(self, *sources: Source | Exception, silence_s: float = 60) -> Shooting:
        waiting = iter(sources)

        def opened(camera: Camera, wait: Wait) -> Source:
            source = next(waiting, None)
            if source is None:
                wait(60)
                raise SourceError("told to stop")
            if isinstance(source, Exception):
                raise source
            return source

        return Shooting(
            opened,
            self.frames,
            self.statuses,
            self.encoder,
            lambda _, news: self.news.append(news),
            silence_s=silence_s,
            retry_delay=lambda failures: 0.01 * failures,
        )

    def states(self) -> list[tuple[str, str]]:
        return [(status.state, status.reason) for status in self.published]

    def counted(self, reason: str) -> float:
        labels = {"camera": self.camera.id, "reason": reason}
        return REGISTRY.get_sample_value("maskwatch_frames_not_published_total", labels) or 0


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    published: list[CameraStatus] = []

    async def publish(status: CameraStatus) -> None:
        published.append(status)

    statuses = Statuses(publish)
    running = asyncio.create_task(statuses.run())
    encoder = ThreadPoolExecutor(2)
    camera = Camera(id=next(_names), source="scene", pace="fast", rate=60)
    yield Bench(camera, ListPublisher(), statuses, published, [], encoder)
    running.cancel()
    encoder.shutdown()


async def test_every_frame_of_a_clip_is_published_and_then_it_has_ended(bench: Bench) -> None:
    source = ListSource([picture(level=10 * number) for number in range(20)], truth=TRUTH)
    await shoot(bench.camera, bench.tools(source))
    infos = [info for info, _, _ in bench.frames.frames]
    assert [info.sequence for info in infos] == list(range(20))
    assert len({info.session for info in infos}) == 1
    assert [info.captured for info in infos] == sorted(info.captured for info in infos)
    assert {(info.camera, info.width, info.height, info.truth) for info in infos} == {(bench.camera.id, 64, 48, TRUTH)}
    for number, (_, jpeg, _) in enumerate(bench.frames.frames):
        assert abs(int(simplejpeg.decode_jpeg(jpeg)[0, 0, 0]) - 10 * number) <= 2
    await eventually(lambda: bench.states() == [("online", ""), ("offline", "the clip has ended")])
    assert source.closed == 1
    assert bench.news[0] == "64x48 at 60 frames/s"


async def test_the_recording_is_sampled(bench: Bench) -> None:
    once = Camera(id=bench.camera.id, source="scene", pace="fast", record_rate=0.01)
    await shoot(once, bench.tools(ListSource([picture()] * 5)))
    never = Camera(id=bench.camera.id, source="scene", pace="fast", record_rate=0)
    await shoot(never, bench.tools(ListSource([picture()] * 5)))
    assert [record for _, _, record in bench.frames.frames] == [True] + [False] * 9


async def test_a_live_source_is_never_held_up_and_its_gaps_are_counted(bench: Bench) -> None:
    camera = Camera(id=bench.camera.id, source="scene", rate=60)
    gate = asyncio.Event()

    class Slow(ListPublisher):
        async def publish(self, info: FrameInfo, jpeg: bytes, *, record: bool) -> bool:
            await gate.wait()
            return await super().publish(info, jpeg, record=record)

    frames, given = Slow(), threading.Event()

    def pictures() -> Iterator[Image]:
        yield from [picture()] * 50
        given.set()

    tools = bench.tools(ListSource(pictures()))._replace(publisher=frames)
    shooting = asyncio.create_task(shoot(camera, tools))
    await eventually(given.is_set)
    gate.set()
    await shooting
    sequences = [info.sequence for info, _, _ in frames.frames]
    assert sequences == sorted(set(sequences))
    assert sequences[-1] == 49
    assert len(sequences) < 50
    assert bench.counted("replaced") == 50 - len(sequences)


async def test_a_source_that_fails_is_opened_again_with_a_new_session(bench: Bench) -> None:
    failing = ListSource([picture()], error=SourceError("unplugged"))
    tools = bench.tools(SourceError("no webcam 0"), SourceError("no webcam 0"), failing, ListSource([picture()] * 2))
    await shoot(bench.camera, tools)
    infos = [info for info, _, _ in bench.frames.frames]
    assert [info.sequence for info in infos] == [0, 0, 1]
    assert len({info.session for info in infos}) == 2
    await eventually(
        lambda: (
            bench.states()
            == [
                ("offline", "no webcam 0"),
                ("online", ""),
                ("offline", "unplugged"),
                ("online", ""),
                ("offline", "the clip has ended"),
            ]
        )
    )
    assert bench.news[0] == "gives no frames: no webcam 0"
    assert failing.closed == 1


async def test_the_wait_grows_with_failures_in_a_row_and_a_frame_ends_the_row(bench: Bench) -> None:
    failures: list[int] = []

    def delay(count: int) -> float:
        failures.append(count)
        return 0

    dark = SourceError("dark")
    tools = bench.tools(dark, dark, dark, ListSource([picture()], error=dark), dark, ListSource([picture()]))
    await shoot(bench.camera, tools._replace(retry_delay=delay))
    assert failures == [1, 2, 3, 1, 2]


async def test_a_silent_source_is_offline_until_it_gives_a_frame(bench: Bench) -> None:
    released = threading.Event()

    class Late(ListSource):
        def read(self) -> Shot | None:
            released.wait(30)
            return super().read()

    tools = bench.tools(Late([picture()]), silence_s=0.05)
    shooting = asyncio.create_task(shoot(bench.camera, tools))
    await eventually(lambda: bench.states() == [("offline", "no frame for 0 s")])
    assert bench.news == ["gives no frames: no frame for 0 s"]
    released.set()
    await shooting
    assert bench.states()[1] == ("online", "")


async def test_a_camera_of_few_frames_is_not_silent(bench: Bench) -> None:
    camera = Camera(id=bench.camera.id, source="scene", rate=2)
    released = threading.Event()
    tools = bench.tools(ListSource([], released=released), silence_s=0)
    shooting = asyncio.create_task(shoot(camera, tools))
    await asyncio.sleep(0.2)
    assert bench.states() == []
    released.set()
    await shooting


async def test_a_camera_that_is_stopped_closes_its_source_and_says_so(bench: Bench) -> None:
    source = ListSource(itertools.repeat(picture()))
    shooting = asyncio.create_task(shoot(bench.camera, bench.tools(source)))
    await eventually(lambda: bench.frames.frames)
    shooting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shooting
    assert source.closed == 1
    await eventually(lambda: bench.states() == [("online", ""), ("offline", "stopped")])


async def test_a_fast_source_that_waits_for_kafka_can_be_stopped(bench: Bench) -> None:
    class Stuck(ListPublisher):
        async def publish(self, info: FrameInfo, jpeg: bytes, *, record: bool) -> bool:
            self.frames.append((info, jpeg, record))
            return await asyncio.Event().wait()

    source, frames = ListSource([picture()] * 5), Stuck()
    shooting = asyncio.create_task(shoot(bench.camera, bench.tools(source)._replace(publisher=frames)))
    await eventually(lambda: frames.frames)
    shooting.cancel()
    await asyncio.gather(shooting, return_exceptions=True)
    assert source.closed == 1


async def test_a_source_that_never_returns_is_left_behind(bench: Bench) -> None:
    released = threading.Event()
    source = ListSource([picture()], released=released)
    shooting = asyncio.create_task(shoot(bench.camera, bench.tools(source)._replace(let_go_s=0.1)))
    await eventually(lambda: bench.frames.frames)
    shooting.cancel()
    with structlog.testing.capture_logs() as logs:
        await asyncio.gather(shooting, return_exceptions=True)
    assert "source does not let go; its thread is left behind" in [entry["event"] for entry in logs]
    assert source.closed == 0
    released.set()
    await eventually(lambda: source.closed)


async def test_a_bug_in_a_source_is_raised_in_the_camera_s_task(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError):
        await shoot(bench.camera, bench.tools(ListSource([picture()], error=ZeroDivisionError())))


async def test_frames_that_are_not_acknowledged_are_dropped_and_said_once(bench: Bench) -> None:
    bench.frames.away = True

    def pictures() -> Iterator[Image]:
        for number in range(6):
            bench.frames.away = number < 3
            yield picture()

    with structlog.testing.capture_logs() as logs:
        await shoot(bench.camera, bench.tools(ListSource(pictures())))
    assert [info.sequence for info, _, _ in bench.frames.frames] == list(range(6))
    assert [entry["event"] for entry in logs if entry["event"].startswith("frames")] == [
        "frames are not acknowledged and are dropped",
        "frames are acknowledged again",
    ]


async def test_a_picture_that_fits_at_no_size_is_counted_and_leaves_a_gap(bench: Bench) -> None:
    def encode(image: Image, camera: Camera) -> Jpeg | None:
        return None if image[0, 0, 0] == 200 else to_jpeg(image, camera)

    pictures = [picture(), picture(level=200), picture()]
    await shoot(bench.camera, bench.tools(ListSource(pictures))._replace(encode=encode))
    assert [info.sequence for info, _, _ in bench.frames.frames] == [0, 2]
    assert bench.counted("too-large") == 1
