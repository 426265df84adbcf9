"""The data set of labels: what Kafka says and the store has are the same in the end, whatever dies in between."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka.structs import RecordMetadata, TopicPartition

from consumers import dataset as module
from consumers.dataset import Dataset, keep_labels
from maskwatch import kafka as clients
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import MarkedFace, decode
from maskwatch.store import Store, name_of
from maskwatch.topics import Name
from tests.support import stack
from tests.support.labelling import NOON
from tests.support.stack import CreateTopics, Kafka
from tests.support.topic import put, read_all
from tests.support.waiting import at_work, eventually

FACE = MarkedFace("with_mask", (0.1, 0.1, 0.3, 0.5))
PICTURES = {name: name.encode() * 50 for name in "abc"}


def label(frame: str, **more: Any) -> FrameLabel:  # noqa: ANN401  # its fields
    fields = {"frame": frame, "state": "labelled", "at": NOON, "by": "ann", "faces": (FACE,), "source": "gate"}
    if frame in PICTURES:
        fields["sha256"] = name_of(PICTURES[frame])
    return FrameLabel(**{**fields, **more})


def record(one: FrameLabel | None, value: bytes | None = None) -> Any:  # noqa: ANN401  # as the client gives it
    return SimpleNamespace(
        key=one.frame.encode() if one else b"", value=msgspec.json.encode(one) if one else value, partition=0, offset=0
    )


def stored(store: Store) -> dict[str, str]:
    """What is said about each frame, as the store has it."""
    return {found.frame: found.state for found in (decode(one, FrameLabel) for one in store.labels())}


class Said:
    """Takes what is written to Kafka."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, bytes | None]] = []

    async def send_and_wait(self, topic: str, *, value: bytes | None, key: bytes, headers: object) -> RecordMetadata:
        self.records.append((topic.partition(".")[2], key.decode(), value))
        return RecordMetadata(topic, 0, TopicPartition(topic, 0), len(self.records), 0, 0, 0)


def dataset(home: Path, **groups: Any) -> tuple[Dataset, Store, Said]:  # noqa: ANN401  # of the settings
    settings = stack.settings_for(home, "127.0.0.1:1", {"store": {"url": f"memory://{home}"}, **groups})
    store, said = Store(settings), Said()
    return Dataset(settings, store, said), store, said


STORY = (
    label("a"),
    label("b"),
    label("a", faces=()),
    label("b", state="erased", faces=()),
    label("c", state="skipped", faces=()),
    label("b"),
)
"""Labelled, replaced, skipped, erased, and labelled again by somebody who had not heard of it."""


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """A store that dies at its n-th call, before or after it has done it."""

    def __init__(self, store: Store, calls: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, calls, after

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the store has
        return getattr(self._store, name)

    async def within(self, work: Any, *arguments: object) -> object:  # noqa: ANN401
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        done = work(*arguments)
        if self._left == 0:
            raise Killed
        return done


async def _live(one: Dataset, records: Sequence[FrameLabel]) -> None:
    for each in records:
        await one.take(record(each))


@pytest.mark.parametrize("after", [False, True])
async def test_a_death_between_any_two_steps_changes_nothing_in_the_end(tmp_path: Path, after: bool) -> None:
    expected = {"a": "labelled", "b": "erased", "c": "skipped"}
    deaths = 0
    for calls in range(1, 100):
        one, store, said = dataset(tmp_path / f"{calls}")
        for picture in PICTURES.values():
            store.put(picture)
        one._store = Mortal(store, calls, after=after)  # type: ignore[assignment]
        try:
            await _live(one, STORY)
        except Killed:
            deaths += 1
        else:
            break
        # Started anew, it begins behind the last commit: here with the first record.
        one._store = store
        await _live(one, STORY)
        assert stored(store) == expected
        assert store.get(name_of(PICTURES["a"])) == PICTURES["a"]
        assert store.get(name_of(PICTURES["b"])) is None
        (kept,) = [found for found in (decode(raw, FrameLabel) for raw in store.labels()) if found.frame == "a"]
        assert kept.faces == ()
        # Whoever labelled what was erased is told so.
        assert {(name, key) for name, key, _ in said.records} == {("labels.v1", "b")}
    assert deaths > len(STORY)


async def test_labels_of_a_real_topic_are_kept_and_those_of_a_restart_too(
    kafka: Kafka, create_topics: CreateTopics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.1)
    folder = tmp_path / "store"
    settings = kafka.settings(store={"url": folder.as_uri()})
    await create_topics(settings, Name.LABELS)
    folder.touch()  # A file lies where the folder would be: the store is away.
    async with clients.running(clients.durable_producer(settings), settings) as producer:

        async def say(one: FrameLabel) -> None:
            await put(producer, settings, Name.LABELS, one.frame, msgspec.json.encode(one))

        await put(producer, settings, Name.LABELS, "bad", b"{")
        await say(label("a"))
        async with at_work(keep_labels, settings):
            await asyncio.sleep(0.5)
            folder.unlink()
            await eventually(lambda: stored(Store(settings)) == {"a": "labelled"})
        Store(settings).put(PICTURES["b"])
        await say(label("b"))
        await say(label("a", state="skipped"))
        async with at_work(keep_labels, settings):
            await eventually(lambda: stored(Store(settings)) == {"a": "skipped", "b": "labelled"})
            await say(label("b", state="erased"))
            await eventually(lambda: stored(Store(settings))["b"] == "erased")
            assert Store(settings).pictures() == {}
    assert len(await read_all(settings, Name.LABELS)) == 5


async def test_pictures_without_a_label_are_tidied_away_once_they_are_old(tmp_path: Path) -> None:
    one, store, _ = dataset(tmp_path)
    for picture in PICTURES.values():
        store.put(picture)
    await _live(one, [label("a"), label("c", state="skipped", sha256="")])
    await one.tidy(datetime.now(UTC))
    assert len(store.pictures()) == 3
    await one.tidy(datetime.now(UTC) + timedelta(days=3))
    assert list(store.pictures()) == [name_of(PICTURES["a"])]


async def test_a_label_that_cannot_be_read_keeps_pictures_and_nothing_else(tmp_path: Path) -> None:
    one, store, said = dataset(tmp_path)
    store.put(PICTURES["c"])
    store.write_label("a", b"no label")
    await _live(one, [label("b", state="erased")])
    await one.tidy(NOON + timedelta(minutes=40))
    assert [key for _, key, _ in said.records] == ["b", "b"]
    await one.tidy(datetime.now(UTC) + timedelta(days=3))
    assert list(store.pictures()) == [name_of(PICTURES["c"])]


async def test_many_labels_may_take_longer_than_one_file(tmp_path: Path) -> None:
    one, store, _ = dataset(tmp_path, store={"url": f"memory://{tmp_path}", "timeout_s": 0.3})
    await _live(one, [label("b", state="erased"), *(label(f"a{number}", state="skipped") for number in range(10))])
    read = store._read

    def slowly(path: str) -> bytes | None:
        time.sleep(0.05)
        return read(path)

    store._read = slowly  # type: ignore[method-assign]
    await one.tidy(NOON + timedelta(days=32))
    assert "b" not in stored(store)


async def test_an_erasure_is_said_again_so_that_the_log_is_compacted_and_forgotten_in_the_end(tmp_path: Path) -> None:
    one, store, said = dataset(tmp_path)
    await _live(one, [label("b", state="erased")])
    for minutes, told in ((10, []), (40, [("labels.v1", "b", False), ("label-requests.v1", "b", True)]), (150, [])):
        said.records.clear()
        await one.tidy(NOON + timedelta(minutes=minutes))
        assert [(name, key, value is None) for name, key, value in said.records] == told
    assert stored(store) == {"b": "erased"}
    await one.tidy(NOON + timedelta(days=32))
    assert [(name, value) for name, _, value in said.records] == [("labels.v1", None)]
    assert stored(store) == {}


async def test_labels_are_erased_after_the_days_that_are_set(tmp_path: Path) -> None:
    one, store, said = dataset(tmp_path, labels={"days": 30})
    store.put(PICTURES["a"])
    await _live(one, [label("a"), label("c", at=NOON + timedelta(days=20))])
    await one.tidy(NOON + timedelta(days=31))
    (erased, request) = said.records
    assert (request[0], request[2]) == ("label-requests.v1", None)
    gone = decode(erased[2], FrameLabel)
    assert (gone.frame, gone.state, gone.by, gone.faces) == ("a", "erased", "retention", ())
    # It is read again by the stage itself.
    await one.take(record(gone))
    assert (stored(store)["a"], store.pictures()) == ("erased", {})


async def test_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    one, store, _ = dataset(tmp_path)
    store.write_label("a", b"no label")
    await one.take(record(None))
    await one.take(record(None, b"{"))
    await _live(one, [label("a")])
    assert stored(store) == {"a": "labelled"}
