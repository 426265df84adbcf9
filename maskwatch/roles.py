"""Who may do what in Kafka and in Redis where both ask who comes: one user a role, and no more rights than it uses.

What a stage reads and writes is said here once; :mod:`maskwatch.granting` tells it to the cluster.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from maskwatch.errors import SettingsError, did_you_mean
from maskwatch.topics import TOPICS, Name


class Resource(IntEnum):
    """Kafka's numbers for what a right is about."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTION = 5


class Operation(IntEnum):
    """Kafka's numbers for what may be done. Reading and writing include describing."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11


CLUSTER = "kafka-cluster"
"""Kafka's own name for itself."""


class Right(NamedTuple):
    """One thing that one role may do."""

    role: str
    resource: Resource
    name: str
    """Without the prefix of topics and groups; a name that ends in «*» stands for all that begin like it."""
    operation: Operation


class Role(NamedTuple):
    """What a role uses."""

    reads: tuple[Name, ...] = ()
    writes: tuple[Name, ...] = ()
    groups: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()
    watches: bool = False
    """May see which groups there are, how far they are, and what lies on the brokers' disks."""
    administers: bool = False
    """May create and delete topics, and read and write all of them."""
    redis: str = ""
    """Rules of Redis's ACL; empty: it does not speak to Redis."""


_EVERY = tuple(topic.name for topic in TOPICS)
_SHOWN = (Name.DETECTIONS, Name.PREDICTIONS, Name.CAMERA_STATUS, Name.DRIFT, Name.ALERTS)

ROLES: dict[str, Role] = {
    "camera": Role(writes=(Name.FRAMES_LIVE, Name.FRAMES_RECORDING)),
    "capture": Role(
        reads=(Name.CAMERAS, Name.CAMERA_STATUS, Name.SCENE, Name.FRAMES_LIVE),
        writes=(Name.CAMERAS, Name.CAMERA_STATUS, Name.SCENE, Name.FRAMES_LIVE, Name.FRAMES_RECORDING),
    ),
    "detector": Role(
        reads=(Name.FRAMES_LIVE, Name.FRAMES_UPLOAD, Name.MODELS),
        writes=(Name.DETECTIONS, Name.PREDICTIONS, Name.SHADOW, Name.FRAMES_LIVE_DLQ, Name.FRAMES_UPLOAD_DLQ),
        groups=("detector-live", "detector-upload"),
    ),
    "live": Role(
        reads=(Name.FRAMES_LIVE, Name.DETECTIONS),
        groups=("live",),
        redis="~live:* ~last:* &live:* -@all +@connection +@transaction +set +publish +pubsub",
    ),
    "drift": Role(
        reads=(
            Name.DETECTIONS,
            Name.DRIFT,
            Name.DRIFT_STATE,
            Name.FRAMES_LIVE,
            Name.FRAMES_RECORDING,
            Name.LABELS,
        ),
        writes=(Name.SIGNALS, Name.DRIFT, Name.DRIFT_STATE, Name.LABEL_REQUESTS, Name.DETECTIONS_DLQ),
        groups=("drift",),
    ),
    "alerts": Role(reads=(Name.DRIFT, Name.RUNS, Name.ALERTS), writes=(Name.ALERTS,), groups=("alerts",)),
    "dataset": Role(
        reads=(Name.LABELS, Name.DETECTIONS, Name.FRAMES_RECORDING),
        writes=(Name.LABELS, Name.LABEL_REQUESTS),
        groups=("dataset", "pseudo"),
    ),
    "rollout": Role(
        reads=(Name.COMMANDS, Name.MODELS, Name.MODEL_VERSIONS, Name.SHADOW, Name.LABELS),
        writes=(Name.COMMANDS, Name.MODELS, Name.MODEL_VERSIONS),
        groups=("rollout",),
        transactions=("rollout",),
    ),
    "retrainer": Role(
        reads=(
            Name.COMMANDS,
            Name.RUNS,
            Name.DRIFT,
            Name.LABELS,
            Name.FRAMES_RECORDING,
            Name.MODELS,
            Name.MODEL_VERSIONS,
        ),
        writes=(Name.COMMANDS, Name.RUNS),
        groups=("retrain",),
    ),
    "archive": Role(reads=(Name.PREDICTIONS,), groups=("archive",)),
    "api": Role(
        reads=_EVERY,
        writes=(
            Name.CAMERAS,
            Name.CAMERA_STATUS,
            Name.FRAMES_LIVE,
            Name.FRAMES_RECORDING,
            Name.FRAMES_UPLOAD,
            Name.LABELS,
            Name.LABEL_REQUESTS,
            Name.ALERTS,
            Name.COMMANDS,
        ),
        watches=True,
        redis="~* &* -@all +@connection +@read +@write +@pubsub +@transaction +@scripting -@dangerous",
    ),
    "subscriber": Role(reads=_SHOWN, groups=("subscriber-*",)),
    "operator": Role(watches=True, administers=True),
}
"""Users of Kafka by their name. «camera» and «subscriber» are for machines outside, «operator» for the command line."""

PICTURES = "pictures"
REDIS: dict[str, str] = {
    **{name: role.redis for name, role in ROLES.items() if role.redis},
    PICTURES: "~live:* -@all +@connection +scan",
}
"""Users of Redis and their rules; `pictures` sees whether any camera's picture is live, and nothing else."""

_ADMINISTERS = (
    Operation.READ,
    Operation.WRITE,
    Operation.CREATE,
    Operation.DELETE,
    Operation.ALTER,
    Operation.DESCRIBE_CONFIGS,
    Operation.ALTER_CONFIGS,
)


def rights(name: str, role: Role) -> list[Right]:
    """Return all that a role may do.

    Examples
    --------
    >>> [(right.name, right.operation.name) for right in rights("camera", ROLES["camera"])]
    [('frames.live.v1', 'WRITE'), ('frames.recording.v1', 'WRITE')]
    """
    given: list[tuple[Resource, str, Operation]] = [(Resource.TOPIC, topic, Operation.READ) for topic in role.reads]
    given += [(Resource.TOPIC, topic, Operation.WRITE) for topic in role.writes]
    given += [(Resource.GROUP, group, Operation.READ) for group in role.groups]
    given += [(Resource.TRANSACTION, one, Operation.WRITE) for one in role.transactions]
    if role.watches:
        given += [(Resource.GROUP, "*", Operation.DESCRIBE), (Resource.CLUSTER, CLUSTER, Operation.DESCRIBE)]
    if role.administers:
        given += [(Resource.TOPIC, "*", operation) for operation in _ADMINISTERS]
        given += [(Resource.GROUP, "*", operation) for operation in (Operation.READ, Operation.DELETE)]
    return [Right(name, resource, str(what), operation) for resource, what, operation in given]


def rights_of(users: Iterable[str]) -> list[Right]:
    """Return all that these users may do.

    Raises
    ------
    SettingsError
        If one of them is no role of ours.
    """
    found = []
    for user in users:
        if user not in ROLES:
            raise SettingsError(f"there is no role {user}; {did_you_mean(user, ROLES, otherwise=', '.join(ROLES))}")
        found += rights(user, ROLES[user])
    return found
