"""Labels that a model makes of its own answers, by policy and only if that is set (`labels.pseudo`).

Of frames on which it is sure of every face, a few a day and camera, spread over the day. Such a label says that a model
made it: it is rehearsed among the pictures of earlier trainings and counts nowhere else, neither towards a retrain nor
for what judges. What people have said about a frame is never replaced.
"""

import asyncio
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from maskwatch import evidence, kafka, metrics
from maskwatch.errors import BrokerError, MessageError, PictureError, StoreError
from maskwatch.fingerprint import LookAlikes, fingerprint
from maskwatch.kafka import Record
from maskwatch.label_checks import complaint, frozen_test
from maskwatch.label_messages import FrameLabel, Proposal
from maskwatch.label_settings import LabelSettings
from maskwatch.messages import Detection, MarkedFace, decode, encode
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import Name

DAY_S = 86_400
AGAIN_S = 10.0
"""A frame that cannot be had is followed by another after so long: one in a few is recorded."""

POLL_MS = 1000
MOST_CAMERAS = 10_000
WHY = "sure"

log = structlog.get_logger(__name__)


class Policy:
    """Which frames of each camera. Pure, apart from what it remembers.

    Parameters
    ----------
    settings
        How sure, and how many.
    """

    def __init__(self, settings: LabelSettings) -> None:
        self._settings = settings
        self._next: dict[str, float] = {}

    def wants(self, detection: Detection) -> bool:
        """Tell whether a frame is to be labelled; after that the camera's next one is some time away."""
        frame, at = detection.frame, detection.frame.captured.timestamp()
        sure = detection.objects and all(face.score > self._settings.pseudo_score for face in detection.objects)
        # A clock that was set back begins anew.
        due = self._next.get(frame.camera, at)
        if not sure or (at < due and due - at <= DAY_S):
            return False
        if frame.camera not in self._next and len(self._next) >= MOST_CAMERAS:
            return False
        self._next[frame.camera] = at + AGAIN_S
        return True

    def labelled(self, detection: Detection) -> None:
        """Remember that a frame was labelled: as many as may be are spread over the day."""
        at = detection.frame.captured.timestamp()
        self._next[detection.frame.camera] = at + DAY_S / self._settings.pseudo_per_day


class Pseudo:
    """Labels frames by what a model says.

    Parameters
    ----------
    settings
        The whole tree.
    store
        Where pictures and labels are kept.
    producer
        Durable and running.
    """

    def __init__(self, settings: Settings, store: Store, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._store = store
        self._producer = producer
        self._policy = Policy(settings.labels)
        self._frozen: LookAlikes = frozen_test(settings.labels.frozen)

    async def run(self) -> None:
        """Label until cancelled.

        Raises
        ------
        BrokerError
            If Kafka cannot be reached at the start, or refuses us.
        """
        async with kafka.running(
            kafka.group_consumer(self._settings, "pseudo", None, "latest"), self._settings
        ) as consumer:
            kafka.subscribe(consumer, self._settings, [Name.DETECTIONS])
            while True:
                try:
                    read = await consumer.getmany(timeout_ms=POLL_MS)
                except KafkaError as error:
                    raise BrokerError(f"{Name.DETECTIONS} cannot be read: {error!r}") from error
                for records in read.values():
                    for record in records:
                        await self.take(record)
                done = {place: records[-1].offset + 1 for place, records in read.items()}
                if why := await kafka.commit(consumer, done, self._settings):
                    log.warning("offsets not committed", error=why)

    async def take(self, record: Record) -> None:
        """Label the frame of a detection, if the policy wants it and its picture can be had."""
        try:
            detection = decode(record.value, Detection)
            if self._policy.wants(detection) and await self._label(detection):
                self._policy.labelled(detection)
        except MessageError:
            metrics.RECORDS_MALFORMED.labels(Name.DETECTIONS).inc()
        except (BrokerError, StoreError, PictureError) as error:
            # Nothing is lost with it: another frame is as good.
            log.warning("a frame is not labelled by its model", error=str(error))

    async def _label(self, detection: Detection) -> bool:
        frame = detection.frame
        if await self._store.within(self._store.read_label, frame.id) is not None:
            return False
        found = await evidence.picture(self._settings, frame)
        if found is None or not found.exact:
            return False
        faces = tuple(MarkedFace(face.label, face.box) for face in detection.objects)
        print_ = await asyncio.to_thread(fingerprint, found.jpeg)
        size = frame.width, frame.height
        if self._frozen.near(print_) or complaint(faces, size, self._settings.labels.least_side):
            return False
        # The picture first, so that no label names what is not there.
        sha256 = await self._store.within(self._store.put, found.jpeg)
        label = FrameLabel(
            frame=frame.id,
            state="labelled",
            at=datetime.now(UTC),
            by=f"{detection.model.name} {detection.model.version}",
            made_by="model",
            faces=faces,
            sha256=sha256,
            width=frame.width,
            height=frame.height,
            fingerprint=print_,
            source=frame.camera,
            captured=frame.captured,
            proposal=Proposal(detection.model, detection.objects, WHY),
        )
        value, headers = encode(label, kind="maskwatch.label.v1", source="/dataset", id=frame.id, time=label.at)
        await kafka.send(self._producer, self._settings, Name.LABELS, key=frame.id, value=value, headers=headers)
        return True
