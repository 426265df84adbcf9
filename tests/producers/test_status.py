import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import REGISTRY

from maskwatch.errors import BrokerError
from maskwatch.messages import CameraStatus
from producers.status import Statuses

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Wire:
    def __init__(self) -> None:
        self.sent: list[CameraStatus] = []
        self.now = START
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, status: CameraStatus) -> None:
        await self.gate.wait()
        if self.away:
            raise BrokerError("away")
        self.sent.append(status)

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def gauge(camera: str) -> float | None:
    return REGISTRY.get_sample_value("maskwatch_camera_online", {"camera": camera})


async def test_only_changes_are_published() -> None:
    wire = Wire()
    statuses = Statuses(wire.publish, wire.clock)
    for _ in range(3):
        statuses.online("s1")
        await statuses.flush()
    assert gauge("s1") == 1
    statuses.offline("s1", "unplugged")
    await statuses.flush()
    assert gauge("s1") == 0
    assert [(status.state, status.reason) for status in wire.sent] == [("online", ""), ("offline", "unplugged")]


async def test_offline_for_another_reason_is_offline_since_it_began() -> None:
    wire = Wire()
    statuses = Statuses(wire.publish, wire.clock)
    for reason in ("no frame for 10 s", "unplugged"):
        statuses.offline("s2", reason)
        await statuses.flush()
    assert [status.reason for status in wire.sent] == ["no frame for 10 s", "unplugged"]
    assert wire.sent[0].since == wire.sent[1].since
    statuses.online("s2")
    await statuses.flush()
    assert wire.sent[2].since > wire.sent[1].since


async def test_while_kafka_is_slow_the_newest_state_waits() -> None:
    wire = Wire()
    wire.gate.clear()
    statuses = Statuses(wire.publish, wire.clock)
    running = asyncio.create_task(statuses.run())
    statuses.online("s3")
    await asyncio.sleep(0.01)
    statuses.offline("s3", "a")
    statuses.offline("s3", "b")
    wire.gate.set()
    await asyncio.sleep(0.01)
    assert [(status.state, status.reason) for status in wire.sent] == [("online", ""), ("offline", "b")]
    running.cancel()


async def test_the_last_flush_waits_for_what_is_under_way() -> None:
    wire = Wire()
    wire.gate.clear()
    statuses = Statuses(wire.publish, wire.clock)
    running = asyncio.create_task(statuses.run())
    statuses.offline("s4", "stopped", expected=True)
    await asyncio.sleep(0.01)
    last = asyncio.create_task(statuses.flush())
    await asyncio.sleep(0.01)
    assert not last.done()
    wire.gate.set()
    await last
    assert [status.reason for status in wire.sent] == ["stopped"]
    running.cancel()


async def test_what_kafka_does_not_take_is_logged_and_not_kept() -> None:
    wire = Wire()
    wire.away = True
    statuses = Statuses(wire.publish, wire.clock)
    statuses.online("s5")
    with structlog.testing.capture_logs() as logs:
        await statuses.flush()
    assert [entry["event"] for entry in logs] == ["camera status not published"]
    wire.away = False
    await statuses.flush()
    assert wire.sent == []
