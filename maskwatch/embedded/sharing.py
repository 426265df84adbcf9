"""The disk is shared by those partitions of the embedded Kafka that hold something.

Kafka caps each partition, and a topic has a share of the disk. Shared by all of its partitions, one camera would have a
thirty-second of what its topic may take: what is recorded would be gone after minutes, not after a day.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from maskwatch.errors import BrokerError
from maskwatch.kafka import administering
from maskwatch.logdirs import Occupancy, occupancy
from maskwatch.settings import Settings
from maskwatch.topics import TOPICS, disk_budget

EVERY_S = 60.0
LEAST_CHANGE = 0.2
"""Of a cap: what changes it by less is left as it is."""

CAP = "retention.bytes"
_OWN = 1
"""The source of what is set for a topic itself (DYNAMIC_TOPIC_CONFIG in Kafka's protocol)."""


async def keep_sharing(settings: Settings) -> None:
    """Share the disk anew every minute, until it is cancelled."""
    while True:
        await asyncio.sleep(EVERY_S)
        # What cannot be asked now is asked in a minute; that the broker is away is told elsewhere.
        with contextlib.suppress(BrokerError):
            await share(settings)


async def share(settings: Settings) -> dict[str, int]:
    """Give each topic's share of the disk to its partitions that hold something, and to one that may come.

    Returns
    -------
    dict of str to int
        The caps of a partition that were changed, in bytes, by topic.

    Raises
    ------
    BrokerError
        If the broker does not answer, or refuses.
    """
    async with administering(settings) as admin:
        taken = await occupancy(admin)
        wished = _caps(settings, taken)
        there = await _configurations(admin, wished)
        changed = {name: cap for name, cap in wished.items() if _differs(cap, there.get(name, {}).get(CAP))}
        if changed:
            # This call replaces all that is set for a topic.
            wholes = {name: there[name] | {CAP: str(cap)} for name, cap in changed.items()}
            await _set(admin, wholes)
        return changed


def _caps(settings: Settings, taken: Occupancy) -> dict[str, int]:
    room = disk_budget(settings, sum(taken.bytes.values()))
    caps = {}
    for topic in TOPICS:
        name = f"{settings.kafka.topic_prefix}{topic.name}"
        if topic.disk_share:
            sharers = min(taken.used.get(name, 0) + 1, topic.partitions)
            caps[name] = topic.cap(room, sharers)
    return caps


def _differs(cap: int, now: str | None) -> bool:
    # Who has taken a topic's cap away has done so on purpose.
    return now is not None and int(now) > 0 and abs(cap / int(now) - 1) > LEAST_CHANGE


async def _configurations(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, dict[str, str]]:
    there = set(await admin.list_topics())
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names if name in there]
    answers: list[Any] = await admin.describe_configs(asked) if asked else []
    return {
        name: {key: value for key, value, _, source, *_ in entries if source == _OWN}
        for answer in answers
        for _code, _message, _type, name, entries in answer.resources
    }


async def _set(admin: AIOKafkaAdminClient, wholes: Mapping[str, dict[str, str]]) -> None:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs) for name, configs in wholes.items()]
    answers: list[Any] = await admin.alter_configs(resources)
    for code, message, _type, name in (one for answer in answers for one in answer.resources):
        if code:
            raise BrokerError(f"the byte cap of topic {name} cannot be set: {for_code(code).__name__} {message}")
