"""The limit: decode and inference alone, both threads busy, no Kafka.

``python -m tests.benchmarks.bare FILE SECONDS SHAPE``, which is ``wide`` as for cameras, or ``square`` as for uploads.
Prints one JSON line. A process of its own, with the same allocator settings as a worker under `maskwatch up`.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import cast

from maskwatch.inference import Detector
from maskwatch.model import ShapeName
from maskwatch.settings import Settings
from tests.benchmarks.material import recorded_jpegs

WARM_UP = 20


def bare(jpegs: list[bytes], seconds: float, shape: ShapeName) -> float:
    """Return pictures a second."""
    settings = Settings().detector
    detector = Detector(settings.model, settings)
    for jpeg in jpegs[:WARM_UP]:
        detector.look([jpeg], shape)
    at_once = detector.load(shape).pictures_at_once
    done = [0] * settings.threads
    began = time.perf_counter()

    def work(slot: int) -> None:
        place = slot
        while time.perf_counter() - began < seconds:
            detector.look([jpegs[(place + more) % len(jpegs)] for more in range(at_once)], shape)
            place += at_once * settings.threads
            done[slot] += at_once

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(settings.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    detector.close()
    return sum(done) / took


if __name__ == "__main__":
    jpegs, seconds = recorded_jpegs(Path(sys.argv[1])), float(sys.argv[2])
    print(json.dumps({"rate": bare(jpegs, seconds, cast("ShapeName", sys.argv[3]))}))  # noqa: T201
