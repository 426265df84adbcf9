"""Every topic: what it carries, how it is cut and for how long it is kept.

Partition counts are for life, because keys hash into them. Byte caps are per partition; they are worked out from the
share of the disk that topics may fill, so that a full disk never stops the broker.
"""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

import click
import msgspec
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from maskwatch.errors import BrokerError, SettingsError, did_you_mean
from maskwatch.kafka import administering
from maskwatch.settings import Settings

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FORGET_MS = 30 * MINUTE
"""Half of the hour that is promised for an erasure: the other half is for the broker's cleaner."""

POLL_S = 0.05
GROUPS_TIMEOUT_S = 5.0


class Name(StrEnum):
    """The topics that this version uses, before the prefix of `kafka.topic_prefix`."""

    CAMERAS = "cameras.v1"
    FRAMES_LIVE = "frames.live.v1"
    FRAMES_UPLOAD = "frames.upload.v1"
    FRAMES_RECORDING = "frames.recording.v1"
    DETECTIONS = "detections.v1"
    PREDICTIONS = "predictions.v1"
    SCENE = "scene.v1"
    CAMERA_STATUS = "camera-status.v1"
    SIGNALS = "signals.v1"
    DRIFT = "drift.v1"
    DRIFT_STATE = "drift-state.v1"
    ALERTS = "alerts.v1"
    LABEL_REQUESTS = "label-requests.v1"
    LABELS = "labels.v1"
    SHADOW = "shadow.v1"
    MODELS = "models.v1"
    MODEL_VERSIONS = "model-versions.v1"
    COMMANDS = "commands.v1"
    RUNS = "runs.v1"
    DETECTIONS_DLQ = "detections.v1.dlq"
    FRAMES_LIVE_DLQ = "frames.live.v1.dlq"
    FRAMES_UPLOAD_DLQ = "frames.upload.v1.dlq"


class Topic(msgspec.Struct, frozen=True):
    """One topic's contract."""

    name: Name
    key: str
    partitions: int
    about: str
    retention_ms: int = -1
    """-1 keeps records for ever: only for what is compacted."""
    disk_share: float = 0.0
    """Share of the disk that topics may fill; 0 sets no byte cap."""
    compacted: bool = False
    segment_ms: int | None = None
    forget_ms: int | None = None
    """What was replaced or taken back is gone from the disk by then, as soon as the partition is written to again."""
    append_time: bool = False
    compression: str | None = None

    def kept(self) -> str:
        """Say in words for how long records are kept."""
        newest = "newest per key"
        if self.retention_ms < 0:
            return newest
        unit, name = next((unit, name) for unit, name in ((DAY, "d"), (MINUTE, "min")) if self.retention_ms >= unit)
        time = f"{self.retention_ms // unit} {name}{', byte cap' if self.disk_share else ''}"
        return f"{newest}, {time}" if self.compacted else time

    def policy(self) -> list[str]:
        """Return how the broker cleans up."""
        return [*(["compact"] if self.compacted else []), *(["delete"] if self.retention_ms >= 0 else [])]

    def cap(self, disk_bytes: int, partitions: int) -> int:
        """Return how many bytes each of so many partitions may keep, if all topics together may fill `disk_bytes`."""
        return int(disk_bytes * self.disk_share / partitions)

    def config(self, disk_bytes: int) -> dict[str, str]:
        """Return the topic's configuration in Kafka's words.

        Parameters
        ----------
        disk_bytes
            What all topics together may fill, in bytes.
        """
        config = {"cleanup.policy": ",".join(self.policy())}
        if self.retention_ms >= 0:
            config["retention.ms"] = str(self.retention_ms)
        if self.disk_share:
            cap = self.cap(disk_bytes, self.partitions)
            config["retention.bytes"] = str(cap)
            # Retention removes whole closed segments, so a segment is a fraction of the cap.
            config["segment.bytes"] = str(max(2**20, min(64 * 2**20, cap // 4)))
        if self.segment_ms is not None:
            config["segment.ms"] = str(self.segment_ms)
        if self.forget_ms is not None:
            config |= {"max.compaction.lag.ms": str(self.forget_ms), "segment.ms": str(self.forget_ms)}
        if self.append_time:
            config["message.timestamp.type"] = "LogAppendTime"
        if self.compression:
            config["compression.type"] = self.compression
        return config


TOPICS = (
    Topic(Name.CAMERAS, "camera", 1, "the wished-for cameras", compacted=True),
    Topic(
        Name.FRAMES_LIVE, "camera", 32, "the newest frames, as JPEG",
        retention_ms=MINUTE, disk_share=0.2, segment_ms=10_000, append_time=True,
    ),
    Topic(
        Name.FRAMES_UPLOAD, "upload", 8, "uploaded pictures, as JPEG",
        retention_ms=7 * DAY, disk_share=0.2, append_time=True,
    ),
    Topic(
        Name.FRAMES_RECORDING, "camera", 32, "one frame a second of each camera, as JPEG",
        retention_ms=DAY, disk_share=0.4, append_time=True,
    ),
    Topic(
        Name.DETECTIONS, "camera", 32, "what was seen on each frame",
        retention_ms=7 * DAY, disk_share=0.1, compression="gzip",
    ),
    Topic(Name.PREDICTIONS, "upload", 8, "the answer to each upload", retention_ms=7 * DAY, disk_share=0.02),
    Topic(Name.SCENE, "camera", 1, "the demo scene's knobs", compacted=True),
    Topic(Name.CAMERA_STATUS, "camera", 8, "online, offline, since when, why", compacted=True),
    Topic(Name.SIGNALS, "camera", 32, "each camera's signals by the minute", retention_ms=7 * DAY, disk_share=0.02),
    Topic(Name.DRIFT, "camera", 32, "episodes of drift: start, update, end", retention_ms=30 * DAY),
    Topic(Name.DRIFT_STATE, "camera, or camera/hour", 32, "what the drift monitor knows", compacted=True),
    Topic(Name.ALERTS, "camera", 32, "whom it concerns: one alert an episode", retention_ms=30 * DAY),
    Topic(
        Name.LABEL_REQUESTS, "frame", 8, "frames that people should label, as JPEG",
        retention_ms=30 * DAY, compacted=True, forget_ms=FORGET_MS,
    ),
    Topic(Name.LABELS, "frame", 8, "what people say is on them", compacted=True, forget_ms=FORGET_MS),
    Topic(Name.SHADOW, "camera", 8, "what two models saw on a frame", retention_ms=7 * DAY, disk_share=0.01),
    Topic(Name.MODELS, "model", 1, "the model that serves", compacted=True),
    Topic(Name.MODEL_VERSIONS, "version", 1, "every model that was judged, and what became of it", compacted=True),
    Topic(Name.COMMANDS, "kind", 1, "what is asked of the learning loop", retention_ms=30 * DAY),
    Topic(Name.RUNS, "run", 1, "rounds of the learning loop, and how far they are", compacted=True),
    Topic(
        Name.DETECTIONS_DLQ, "camera", 32, "detections that could not be read, and why",
        retention_ms=14 * DAY, disk_share=0.01,
    ),
    Topic(Name.FRAMES_LIVE_DLQ, "camera", 32, "refused live frames: why", retention_ms=14 * DAY, disk_share=0.01),
    Topic(Name.FRAMES_UPLOAD_DLQ, "upload", 8, "refused uploads, and why", retention_ms=14 * DAY, disk_share=0.03),
)  # fmt: skip


def partition_count(name: Name) -> int:
    """Return how many partitions a topic has, by the contract."""
    return next(topic.partitions for topic in TOPICS if topic.name == name)


def partitions(settings: Settings, name: Name) -> list[TopicPartition]:
    """Return all partitions of a topic, by the contract, with this cluster's prefix."""
    topic = f"{settings.kafka.topic_prefix}{name}"
    return [TopicPartition(topic, number) for number in range(partition_count(name))]


class State(msgspec.Struct, frozen=True):
    """A topic as the broker has it."""

    name: str
    partitions: int


def choose(names: Sequence[str]) -> tuple[Topic, ...]:
    """Return the topics of these names, without the prefix, in the order of :data:`TOPICS`.

    Raises
    ------
    SettingsError
        If a name is unknown; the message offers the nearest.
    """
    known = [topic.name.value for topic in TOPICS]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, otherwise="«maskwatch topics» lists them all")
            raise SettingsError(f"there is no topic {name}; {hint}")
    return tuple(topic for topic in TOPICS if topic.name in names)


async def ensure(settings: Settings, disk_bytes: int, topics: Sequence[Topic] = TOPICS) -> list[str]:
    """Create the topics that are missing.

    Parameters
    ----------
    settings
        Names the cluster, the prefix and the replication.
    disk_bytes
        What all topics together may fill, in bytes.
    topics
        Which of them; all without it.

    Returns
    -------
    list of str
        The names that were created.

    Raises
    ------
    BrokerError
        If the broker cannot be reached, refuses, or has a topic with another number of partitions.
    """
    prefix = settings.kafka.topic_prefix
    async with administering(settings) as admin:
        missing = await _missing(admin, prefix, topics)
        if missing and not settings.kafka.create_topics:
            raise BrokerError(
                f"topics are missing on {settings.bootstrap_servers}: {', '.join(t.name for t in missing)}"
                "; create them (maskwatch topics --create) or set kafka.create_topics"
            )
        if missing:
            await _create(admin, missing, settings, disk_bytes)
            await _await_leaders(admin, [f"{prefix}{topic.name}" for topic in missing])
            await _await_groups(admin, prefix)
        return [f"{prefix}{topic.name}" for topic in missing]


async def _missing(admin: AIOKafkaAdminClient, prefix: str, wanted: Sequence[Topic]) -> list[Topic]:
    present = set(await admin.list_topics())
    described = await admin.describe_topics([f"{prefix}{t.name}" for t in wanted if f"{prefix}{t.name}" in present])
    partitions = {entry["topic"]: len(entry["partitions"]) for entry in described}
    for topic in wanted:
        found = partitions.get(f"{prefix}{topic.name}")
        if found is not None and found != topic.partitions:
            raise BrokerError(
                f"topic {prefix}{topic.name} has {found} partitions, expected {topic.partitions}: partition counts are "
                "for life; use another kafka.topic_prefix, or delete the topic if nothing in it is needed"
            )
    return [topic for topic in wanted if f"{prefix}{topic.name}" not in partitions]


async def _create(admin: AIOKafkaAdminClient, missing: list[Topic], settings: Settings, disk_bytes: int) -> None:
    prefix = settings.kafka.topic_prefix
    answer = await admin.create_topics(
        [
            NewTopic(
                name=f"{prefix}{topic.name}",
                num_partitions=topic.partitions,
                replication_factor=settings.kafka.replication,
                topic_configs=topic.config(disk_bytes),
            )
            for topic in missing
        ]
    )
    for name, code, *message in answer.topic_errors:
        # Another process may have been quicker; that is as good.
        if code not in {0, TopicAlreadyExistsError.errno}:
            raise BrokerError(f"topic {name} cannot be created: {for_code(code).__name__} {message}")


async def _await_leaders(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    # The controller answers before brokers know the topics; a consumer that asks in between looks again in 30 s.
    while True:
        described = await admin.describe_topics(names)
        partitions = [partition for topic in described for partition in topic["partitions"]]
        if all(topic["error_code"] == 0 for topic in described) and all(part["leader"] >= 0 for part in partitions):
            return
        await asyncio.sleep(POLL_S)


async def _await_groups(admin: AIOKafkaAdminClient, prefix: str) -> None:
    # The first consumer of a new cluster would be told to come back, and its log would say so as an error.
    with contextlib.suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(GROUPS_TIMEOUT_S):
            while True:
                try:
                    await admin.find_coordinator(f"{prefix}live")
                except GroupCoordinatorNotAvailableError:
                    await asyncio.sleep(POLL_S)
                else:
                    return


def disk_budget(settings: Settings, held: int = 0) -> int:
    """Return what topics may fill of the disk below the data folder, of which they hold some already, in bytes."""
    folder = next(folder for folder in (settings.data_dir, *settings.data_dir.parents) if folder.exists())
    return int((shutil.disk_usage(folder).free + held) * settings.kafka.disk_share)


async def states(settings: Settings) -> list[State]:
    """Read which of our topics the broker has.

    Raises
    ------
    BrokerError
        If the broker cannot be reached.
    """
    prefix = settings.kafka.topic_prefix
    async with administering(settings) as admin:
        present = set(await admin.list_topics())
        ours = [f"{prefix}{topic.name}" for topic in TOPICS if f"{prefix}{topic.name}" in present]
        return [State(entry["topic"], len(entry["partitions"])) for entry in await admin.describe_topics(ours)]


async def require(settings: Settings, needed: Collection[Name]) -> None:
    """See that the broker has these topics.

    Raises
    ------
    BrokerError
        If the broker cannot be reached, or lacks one of them; RefusedError if it does not let us use one.
    """
    present = {state.name for state in await states(settings)}
    prefix = settings.kafka.topic_prefix
    if missing := sorted(name for name in needed if f"{prefix}{name}" not in present):
        await _refuse_forbidden(settings, [f"{prefix}{name}" for name in missing])
        raise BrokerError(
            f"{settings.bootstrap_servers} has no topic {', '.join(missing)}; «maskwatch up» or "
            "«maskwatch topics --create» makes what is missing"
        )


async def _refuse_forbidden(settings: Settings, names: list[str]) -> None:
    """Tell topics that we may not use from those that are not there: a list of all leaves both out."""
    async with administering(settings) as admin:
        # Not as the client describes them, which would make them where a cluster makes topics by itself.
        answer = await admin._send_request(MetadataRequest(names, allow_auto_topic_creation=False))  # noqa: SLF001
        for topic in answer.to_object()["topics"]:
            if topic["error_code"] == TopicAuthorizationFailedError.errno:
                raise TopicAuthorizationFailedError(topic["topic"])


def show(settings: Settings, *, create: bool, as_json: bool) -> None:
    """Print every topic of the contract, and whether the broker has it.

    Parameters
    ----------
    settings
        Names the cluster and the prefix.
    create
        Create what is missing first.
    as_json
        Print JSON, for scripts.

    Raises
    ------
    BrokerError
        If topics are to be created and cannot be. Listing needs no broker: without one nobody knows what it has.
    """
    if create:
        created = asyncio.run(ensure(settings, disk_budget(settings)))
        click.echo(f"created {', '.join(created)}" if created else "nothing was missing", err=True)
    try:
        found = {state.name: state.partitions for state in asyncio.run(states(settings))}
    except BrokerError as error:
        click.echo(f"maskwatch: {error}", err=True)
        found = None
    rows = [_row(topic, settings.kafka.topic_prefix, found) for topic in TOPICS]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    cells = [tuple(_HEADINGS), *(tuple(str(row[heading]) for heading in _HEADINGS) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line, row in enumerate(cells):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(text if line else click.style(text, dim=True))


_HEADINGS = ("topic", "key", "partitions", "kept", "present", "about")


def _row(topic: Topic, prefix: str, found: Mapping[str, int] | None) -> dict[str, Any]:
    name = f"{prefix}{topic.name}"
    return {
        "topic": name,
        "key": topic.key,
        "partitions": topic.partitions,
        "kept": topic.kept(),
        "present": "unknown" if found is None else "yes" if name in found else "missing",
        "about": topic.about,
    }
