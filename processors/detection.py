"""The detector worker: frames in, detections out, in two lanes that share one model, which may change meanwhile.

Live frames are looked at when they are fresh, uploads are never skipped. Inference has threads of its own; the event
loop never blocks, and a worker whose inference hangs ends itself.
"""

import asyncio

import structlog

from maskwatch import kafka
from maskwatch.errors import expected
from maskwatch.inference import Calibration, Detector
from maskwatch.settings import Settings
from maskwatch.topics import Name
from maskwatch.worker import notify_ready
from processors.live import LiveLane
from processors.serving import Serving
from processors.uploads import UploadLane

CALIBRATION_S = 0.5
UPLOAD_WAIT_MS = 500
"""Uploads are read in parts, and what comes behind a part may wait for so long."""

log = structlog.get_logger(__name__)


async def detect(settings: Settings, stop: asyncio.Event) -> None:
    """Run one worker until told to stop.

    Raises
    ------
    ModelError
        If the model is missing, altered or answers wrongly on its golden picture.
    BrokerError
        If Kafka cannot be reached at the start. Later outages are waited for.
    StuckError
        If inference hangs.
    """
    loop = asyncio.get_running_loop()
    detector, speed = await loop.run_in_executor(None, _ready_detector, settings)
    serving = Serving(detector, settings)
    instance = settings.detector.instance or None
    try:
        async with (
            kafka.running(kafka.live_producer(settings, "gzip"), settings) as quick,
            kafka.running(kafka.durable_producer(settings), settings) as durable,
            kafka.running(kafka.group_consumer(settings, "detector-live", instance, "latest"), settings) as live,
            kafka.running(
                kafka.group_consumer(settings, "detector-upload", instance, "earliest", UPLOAD_WAIT_MS), settings
            ) as uploads,
            asyncio.TaskGroup() as lanes,
        ):
            # Subscribed only now: a start that waits for partitions would wait for a dead member's session to end.
            live_lane = LiveLane(live, quick, serving, settings)
            kafka.subscribe(live, settings, [Name.FRAMES_LIVE], live_lane)
            kafka.subscribe(uploads, settings, [Name.FRAMES_UPLOAD])
            log.info(
                "detector ready", model=detector.card.name, version=detector.card.version, precision=speed.precision
            )
            notify_ready(speed.sentence())
            lanes.create_task(live_lane.run(stop))
            lanes.create_task(UploadLane(uploads, durable, serving, settings, live_lane).run(stop))
            lanes.create_task(serving.follow(stop))
    except ExceptionGroup as group:
        if (one := expected(group)) is not None:
            raise one from group
        raise
    finally:
        serving.close()


def _ready_detector(settings: Settings) -> tuple[Detector, Calibration]:
    detector = Detector(settings.detector.model, settings.detector)
    detector.check_golden("wide")
    return detector, detector.calibrate(CALIBRATION_S)
