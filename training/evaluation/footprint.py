"""How long a picture takes and how much memory a model needs, in a process that does nothing else.

``python -m training.evaluation.footprint`` reads a JSON object from standard input and writes one to standard output.
It loads what a worker loads: with torch or Matplotlib in the same process, the memory would be theirs.
"""

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import psutil

from maskwatch.inference import Detector
from maskwatch.model import Precision, ShapeName
from maskwatch.settings import PROJECT, DetectorSettings
from training.errors import EvaluationError

LIMIT_S = 600
WARM_UP = 5


class Footprint(msgspec.Struct, frozen=True):
    """What a picture costs here, decoding included, when one is looked at after the other with all cores."""

    precision: Precision
    shape: ShapeName
    pictures: int
    median_ms: float
    p95_ms: float
    rss_mb: float


class Job(msgspec.Struct, frozen=True):
    """What is to be measured."""

    folder: str
    precision: Precision
    shape: ShapeName
    pictures: tuple[str, ...]
    """Paths of JPEGs."""


def measure(job: Job) -> Footprint:
    """Measure in a process of its own.

    Raises
    ------
    EvaluationError
        If it fails or takes longer than ten minutes; the message holds what it said.
    """
    try:
        done = subprocess.run(  # ours
            [sys.executable, "-m", "training.evaluation.footprint"],
            input=msgspec.json.encode(job),
            capture_output=True,
            check=True,
            timeout=LIMIT_S,
            cwd=PROJECT,
        )
    except subprocess.CalledProcessError as error:
        raise EvaluationError(f"speed cannot be measured: {error.stderr.decode(errors='replace')[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise EvaluationError(f"speed cannot be measured: no answer within {LIMIT_S} s") from error
    return msgspec.json.decode(done.stdout, type=Footprint)


def footprint(job: Job) -> Footprint:
    """Measure in this process."""
    options = {"precision": job.precision, "threads": 1, "max_pixels": 10**9}
    detector = Detector(Path(job.folder), DetectorSettings.model_validate(options))
    jpegs = [Path(path).read_bytes() for path in job.pictures]
    for jpeg in jpegs[:WARM_UP]:
        detector.look([jpeg], job.shape)
    times = []
    for jpeg in jpegs:
        begin = time.perf_counter()
        detector.look([jpeg], job.shape)
        times.append(time.perf_counter() - begin)
    detector.close()
    median, p95 = np.percentile(times, (50, 95)) * 1000
    rss = psutil.Process().memory_info().rss / 1e6
    return Footprint(job.precision, job.shape, len(times), float(median), float(p95), rss)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(footprint(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))))
