"""What one run measured, and what was promised of it."""

import math
from statistics import median

import msgspec

from tests.support.machine import Machine


class Use(msgspec.Struct, frozen=True):
    """What one process used over a while."""

    rss_mb: float
    cpu: float
    """Percent of one core."""


class Ages(msgspec.Struct, frozen=True):
    """How old pictures were when a viewer had them, at one load."""

    load: int
    """Percent of the capacity that was measured in the same run."""
    offered: float
    """Frames a second that the cameras gave."""
    shown: float
    """Pictures a second that viewers got, all together."""
    p50_ms: float
    p95_ms: float


class Cost(msgspec.Struct, frozen=True):
    """What a frame costs, by number of cameras, at the same rate in all."""

    cameras: int
    detected: float
    """Frames a second."""
    cpu_ms: float
    """Of Kafka, detector and live together, for one detected frame."""


class Uploading(msgspec.Struct, frozen=True):
    """How uploads fared at one rate."""

    offered: float
    """Uploads a second; 0: as many as are answered, in a closed loop."""
    answered: float
    """A second."""
    failed: int
    """Uploads that were not answered with 200."""
    p50_ms: float | None
    p95_ms: float | None
    """Of those that were answered; none where fewer than two were."""


class Capture(msgspec.Struct, frozen=True):
    """What capture costs."""

    source: str
    rate: float
    """Frames a second that were published."""
    cpu_ms: float
    """For one published frame."""


class Results(msgspec.Struct):
    """One run."""

    machine: Machine
    recording: str
    bare: list[float] = []
    """Frames a second of decode and inference alone, one a round."""
    piped: list[float] = []
    """Frames a second through Kafka, one a round."""
    rivals: dict[str, list[float]] = {}
    """Frames a second of others, one a round."""
    idle: dict[str, Use] = {}
    loaded: dict[str, Use] = {}
    ages: list[Ages] = []
    costs: list[Cost] = []
    captures: list[Capture] = []
    uploads_machine: Machine | None = None
    """Where and when uploads were measured, which can be done alone."""
    bare_uploads: float = 0.0
    """Uploads a second of decode and inference alone."""
    upload_capacity: float = 0.0
    """Uploads a second that are answered at most."""
    uploads: list[Uploading] = []
    uploads_beside: Uploading | None = None
    """As many as are answered while cameras offer the capacity."""
    detected_beside: float = 0.0
    """Frames a second that were detected meanwhile."""

    @property
    def capacity(self) -> float:
        """Return frames a second through Kafka."""
        return median(self.piped)

    @property
    def ratio(self) -> float:
        """Return how much of the limit is left, the median over rounds of pairs."""
        return median(piped / bare for piped, bare in zip(self.piped, self.bare, strict=True))

    def times(self, rival: str) -> float:
        """Return how many times faster than a rival all of Maskwatch is, Kafka included; by pairs of a round."""
        return median(ours / theirs for ours, theirs in zip(self.piped, self.rivals[rival], strict=True))

    @property
    def upload_share(self) -> float:
        """Return uploads' part of the detector's time while cameras want all of it; NaN if that was not measured."""
        if self.uploads_beside is None:
            return math.nan
        uploads, live = self.uploads_beside.answered / self.bare_uploads, self.detected_beside / median(self.bare)
        return uploads / (uploads + live)

    @property
    def spread(self) -> float:
        """Return by how much the dearest cost of a frame differs from the mean over all numbers of cameras, in 0..1."""
        costs = [cost.cpu_ms for cost in self.costs]
        mean = sum(costs) / len(costs)
        return max(abs(cost - mean) for cost in costs) / mean


class Promise(msgspec.Struct, frozen=True):
    """One target and what came of it."""

    what: str
    value: float
    unit: str
    bound: float
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether it is kept."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def promises(results: Results) -> list[Promise]:
    """Hold a run against the targets."""
    rows = [Promise("through Kafka, of decode and inference alone", results.ratio, "", 0.70, at_least=True)]
    if "torch" in results.rivals:
        rows.append(
            Promise("through Kafka, times Ultralytics on torch", results.times("torch"), "x", 2.0, at_least=True)
        )
    if "openvino" in results.rivals:
        name = "through Kafka, times Ultralytics on the same OpenVINO file"
        rows.append(Promise(name, results.times("openvino"), "x", 1.1, at_least=True))
    rows += [
        Promise(
            f"age at the viewer at {ages.load} % of capacity, p95", ages.p95_ms, "ms", 250 if ages.load <= 100 else 400
        )
        for ages in results.ages
    ]
    for uploading in results.uploads:
        what = f"{uploading.offered:.0f} uploads a second over 100 connections"
        p95_ms = math.inf if uploading.p95_ms is None else uploading.p95_ms
        rows.append(Promise(f"{what}, p95", p95_ms, "ms", 200))
        rows.append(Promise(f"{what}, not answered", uploading.failed, "", 0))
    if results.uploads_beside is not None:
        what = "uploads beside cameras at full load, of the detector's time"
        rows.append(Promise(what, 100 * results.upload_share, "%", 25, at_least=True))
    rows += [
        Promise("memory of the worker, loaded", results.loaded["detector"].rss_mb, "MB", 300),
        Promise("memory of the API, loaded", results.loaded["api"].rss_mb, "MB", 250),
        Promise("everything idle, no camera, of one core", sum(use.cpu for use in results.idle.values()), "%", 10),
        Promise("cost of a frame, 1 to 32 cameras, from their mean", 100 * results.spread, "%", 10),
    ]
    return rows
