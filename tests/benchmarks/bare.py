"""The limit: decode and inference alone, both threads busy, no Kafka. ``python -m tests.benchmarks.bare FILE SECONDS``.

Prints one JSON line. A process of its own, with the same allocator settings as a worker under `maskwatch up`.
"""

import json
import sys
import threading
import time
from pathlib import Path

from maskwatch.inference import Detector
from maskwatch.settings import Settings
from tests.benchmarks.material import recorded_jpegs

WARM_UP = 20


def bare(jpegs: list[bytes], seconds: float) -> float:
    """Return pictures a second."""
    settings = Settings().detector
    detector = Detector(settings.model, settings)
    for jpeg in jpegs[:WARM_UP]:
        detector.look([jpeg], "wide")
    at_once = detector.load("wide").pictures_at_once
    done = [0] * settings.threads
    began = time.perf_counter()

    def work(slot: int) -> None:
        place = slot
        while time.perf_counter() - began < seconds:
            detector.look([jpegs[(place + more) % len(jpegs)] for more in range(at_once)], "wide")
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
    print(json.dumps({"rate": bare(recorded_jpegs(Path(sys.argv[1])), float(sys.argv[2]))}))  # noqa: T201
