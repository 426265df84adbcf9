"""The candidate looks at recorded frames beside the champion, before anybody relies on it (`gate.shadow`).

Nobody has labelled these frames, so it is not told who is right. What counts is whether faces are lost: from its own
cameras a model must not see much less than the one before, whatever it gains on labelled pictures. How often the two
agree is shown with it.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from maskwatch import kafka, reading
from maskwatch.errors import BrokerError, MessageError
from maskwatch.inference import Detected, Detector
from maskwatch.kafka import Record
from maskwatch.messages import FrameInfo, read_frame_headers
from maskwatch.model_messages import Condition
from maskwatch.settings import DetectorSettings, Settings
from maskwatch.side_by_side import Blocks, Pair, Tally, add_to, by_camera, lost
from maskwatch.topics import Name, partitions

NAME = "shadow: recorded frames"
LEAST = 20
"""Frames, fewer cannot tell."""

READ_S = 120.0
POLL_MS = 1000
SURE = 1.96

Frame = tuple[FrameInfo, bytes]


def shadow(candidate: Path, champion: Path, settings: Settings, tell: Callable[[str, float], None]) -> Condition:
    """Let both models look at recorded frames, and say what came of it.

    Parameters
    ----------
    candidate, champion
        Their folders.
    settings
        Name the cluster, and how much may be lost.
    tell
        Is told how far it is.

    Returns
    -------
    Condition
        Not judged where too few frames are recorded, or Kafka is away.

    Raises
    ------
    ModelError
        If one of the models cannot be loaded.
    """
    try:
        frames = asyncio.run(recorded(settings, settings.gate.shadow_frames))
    except BrokerError as error:
        return _not_judged(settings, str(error))
    with _looking(candidate, settings.detector) as new, _looking(champion, settings.detector) as old:
        pairs: list[Pair] = []
        for number, (info, jpeg) in enumerate(frames):
            tell(NAME, number / len(frames))
            (first,), (second,) = new.look([jpeg], "wide"), old.look([jpeg], "wide")
            if isinstance(first, Detected) and isinstance(second, Detected):
                pairs.append(Pair(info.camera, info.captured, first.faces, second.faces))
    return judged(pairs, settings)


def judged(pairs: list[Pair], settings: Settings) -> Condition:
    """Say what came of it. Pure.

    Parameters
    ----------
    pairs
        The candidate's and the champion's answers.
    settings
        How much may be lost.
    """
    if len(pairs) < LEAST:
        return _not_judged(settings, f"{len(pairs)} recorded frames, {LEAST} are needed")
    cameras, total = by_camera(pairs), Tally()
    for one in cameras.values():
        total = total.plus(one)
    if not total.second:
        return _not_judged(settings, f"the champion sees no face on {total.frames} recorded frames")
    blocks: Blocks = {}
    for pair in pairs:
        add_to(blocks, pair)
    found = lost(blocks.values())
    around = SURE * found.error if math.isfinite(found.error) else None
    return Condition(
        name=NAME,
        outcome="passed" if found.share <= settings.rollout.lost else "failed",
        needed=_needed(settings),
        value=found.share,
        low=None if around is None else found.share - around,
        high=None if around is None else found.share + around,
        why=f"{total.frames} frames of {len(cameras)} cameras: {total.first} faces, the champion {total.second}; "
        f"{total.same} frames the same, {total.frames - total.same} not; agreement {total.agreement:.2f}",
    )


async def recorded(settings: Settings, most: int) -> list[Frame]:
    """Read recorded frames, spread over all cameras and over the time that is kept.

    Raises
    ------
    BrokerError
        If Kafka does not give them in time.
    """
    places = partitions(settings, Name.FRAMES_RECORDING)
    try:
        async with asyncio.timeout(READ_S), kafka.running(kafka.lone_consumer(settings, places), settings) as consumer:
            consumer.pause(*places)
            span = await reading.span(consumer, settings, places, math.inf)
            there = [place for place in places if span.ends[place] > span.starts[place]]
            each = max(1, most // max(1, len(there)))
            found = []
            for place in there:
                offsets = _spread(span.starts[place], span.ends[place], each)
                found += await _read(consumer, place, offsets)
    except (TimeoutError, KafkaError) as error:
        raise BrokerError(f"{Name.FRAMES_RECORDING} was not read within {READ_S:g} s: {error!r}") from error
    return [frame for record in found if (frame := _frame(record)) is not None]


async def _read(consumer: AIOKafkaConsumer, place: TopicPartition, offsets: list[int]) -> list[Record]:
    found: list[Record] = []
    consumer.resume(place)
    for offset in offsets:
        consumer.seek(place, offset)
        for records in (await consumer.getmany(place, timeout_ms=POLL_MS, max_records=1)).values():
            found += records
    consumer.pause(place)
    return found


def _spread(start: int, end: int, most: int) -> list[int]:
    """Return offsets that lie evenly between two.

    Examples
    --------
    >>> _spread(10, 13, 5), _spread(0, 100, 4)
    ([10, 11, 12], [0, 25, 50, 75])
    """
    count = min(most, end - start)
    return [start + (end - start) * number // count for number in range(count)]


def _frame(record: Record) -> Frame | None:
    try:
        return read_frame_headers(record.headers), record.value or b""
    except MessageError:
        return None


@contextmanager
def _looking(folder: Path, settings: DetectorSettings) -> Iterator[Detector]:
    detector = Detector(folder, settings)
    try:
        yield detector
    finally:
        detector.close()


def _needed(settings: Settings) -> str:
    return f"at most {settings.rollout.lost:.0%} of the faces lost that the champion finds"


def _not_judged(settings: Settings, why: str) -> Condition:
    return Condition(name=NAME, outcome="not judged", needed=_needed(settings), why=why)
