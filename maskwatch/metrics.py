"""Every metric, in one list.

A stage counts here and nowhere else. With ``PROMETHEUS_MULTIPROC_DIR`` set (the supervisor sets it) every process on
this machine writes into one folder, and the API's ``/metrics`` shows them all; on servers each stage serves its own
on `metrics.port`. Camera ids are labels only where their number is bounded by what one process looks after.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    start_http_server,
)
from prometheus_client.metrics_core import Metric

_AGES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10)
_STEPS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.5, 2)

# Capture: what left the cameras.
FRAMES_CAPTURED = Counter("maskwatch_frames_captured", "Frames that a source gave, after the rate cap", ["camera"])
FRAMES_PUBLISHED = Counter("maskwatch_frames_published", "Frames that Kafka acknowledged", ["camera", "topic"])
FRAMES_NOT_PUBLISHED = Counter(
    "maskwatch_frames_not_published", "Frames that never reached Kafka, by reason: replaced, too-large, unacknowledged",
    ["camera", "reason"],
)  # fmt: skip
CAMERA_ONLINE = Gauge(
    "maskwatch_camera_online", "1 while the camera gives frames", ["camera"], multiprocess_mode="livemax"
)

# Detection: what the workers did with it.
FRAMES_DETECTED = Counter("maskwatch_frames_detected", "Frames that a model looked at", ["lane"])
FRAMES_SKIPPED = Counter(
    "maskwatch_frames_skipped",
    "Live frames that no model looked at, by reason: replaced, late, sought-past, unacknowledged",
    ["reason"],
)
FRAMES_REFUSED = Counter("maskwatch_frames_refused", "Frames sent to the dead letters", ["lane"])
DETECT_SECONDS = Histogram("maskwatch_detect_seconds", "Decode and inference of one frame", buckets=_STEPS)
BATCH_FRAMES = Histogram("maskwatch_batch_frames", "Frames in a batch", buckets=(1, 2, 4, 8, 16, 32, 64))
FRAMES_SHADOWED = Counter(
    "maskwatch_frames_shadowed",
    "Frames chosen for the model before the champion to look at too, by outcome: told, busy, failed",
    ["outcome"],
)
FRAME_AGE_SECONDS = Histogram(
    "maskwatch_frame_age_seconds",
    "From the broker's append of a frame to its detection's acknowledgement",
    buckets=_AGES,
)

# Live: what browsers see.
FRAMES_JOINED = Counter("maskwatch_frames_joined", "Frames joined with their detection")
FRAMES_UNJOINED = Counter("maskwatch_frames_unjoined", "Frames whose detection did not come in time")
RECORDS_MALFORMED = Counter("maskwatch_records_malformed", "Records that could not be read and were skipped", ["topic"])
STORE_FAILURES = Counter("maskwatch_store_failures", "Live records that Valkey did not take")

# Drift: what the monitor made of detections.
DETECTIONS_WATCHED = Counter(
    "maskwatch_detections_watched",
    "Detections that the drift monitor read, by outcome: sampled, counted, seen, refused",
    ["outcome"],
)
CAMERAS_WATCHED = Gauge("maskwatch_cameras_watched", "Cameras under watch for drift", multiprocess_mode="livesum")
EPISODES = Counter("maskwatch_episodes", "Records of episodes of drift", ["kind", "phase"])
ALERTS = Counter("maskwatch_alerts", "Alerts raised, by whether the webhook took them: told, not-told", ["outcome"])
LABELS_REQUESTED = Counter("maskwatch_labels_requested", "Frames that people are asked to label", ["why"])
LABELS_KEPT = Counter("maskwatch_labels_kept", "Labels that the store has: labelled, skipped, erased", ["state"])
LABELS_WITHOUT_PICTURE = Counter("maskwatch_labels_without_picture", "Labels whose picture the store does not have")
LABELS_EXPIRED = Counter("maskwatch_labels_expired", "Chosen frames whose picture was gone before it was fetched")

# API.
VIEWERS = Gauge("maskwatch_viewers", "Open live sockets", multiprocess_mode="livesum")
FRAMES_SENT = Counter("maskwatch_frames_sent", "Frames sent to viewers")
FRAMES_NOT_SENT = Counter("maskwatch_frames_not_sent", "Frames that a viewer was too slow for")

# Every process.
LOOP_LAG_SECONDS = Histogram(
    "maskwatch_loop_lag_seconds",
    "How late the event loop woke up",
    ["stage"],
    buckets=(0.001, 0.01, 0.05, 0.1, 0.5, 1, 5),
)
MEMORY_BYTES = Gauge("maskwatch_memory_bytes", "Resident memory of a process", ["stage"], multiprocess_mode="liveall")
MODEL_LOADED = Gauge(
    "maskwatch_model_loaded", "1: the model that a worker has loaded", ["name", "version"], multiprocess_mode="liveall"
)
MODELS_REFUSED = Counter("maskwatch_models_refused", "Models that a worker was to serve and could not")


class Figure(NamedTuple):
    """Which figure: a sample's name, and its labels but for the process's."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()


def exposition() -> bytes:
    """Return the metrics of this process, or of every process on this machine, in Prometheus's text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def by_process() -> dict[int, dict[Figure, float]]:
    """Return the figures of each living process on this machine, by pid; without a supervisor of this one alone."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder is None:
        return {os.getpid(): _figures(REGISTRY.collect())}
    files: dict[int, list[str]] = defaultdict(list)
    for path in Path(folder).glob("*.db"):
        files[int(path.stem.rpartition("_")[2])].append(str(path))
    # Whoever dies leaves its counters, and the supervisor takes its gauges away.
    alive = {int(path.stem.rpartition("_")[2]) for path in Path(folder).glob("gauge_liveall_*.db")}
    return {
        pid: _figures(multiprocess.MultiProcessCollector.merge(several))  # type: ignore[no-untyped-call]
        for pid, several in files.items()
        if pid in alive
    }


def _figures(metrics: Iterable[Metric]) -> dict[Figure, float]:
    return {
        Figure(sample.name, tuple(sorted(pair for pair in sample.labels.items() if pair[0] != "pid"))): sample.value
        for metric in metrics
        if metric.name.startswith("maskwatch_")
        for sample in metric.samples
    }


def serve(port: int) -> WSGIServer | None:
    """Serve this process's metrics on a port of its own, from a thread; 0 serves nothing."""
    return start_http_server(port)[0] if port else None
