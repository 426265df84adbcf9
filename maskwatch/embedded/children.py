"""The stages that `maskwatch up` starts, each as a child process."""

import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from maskwatch.embedded.supervisor import Child
from maskwatch.settings import Settings

STORE_RANK, STAGE_RANK, CAMERA_RANK = 1, 2, 3

# One big block is taken from the system and given back, so that a worker's memory does not creep up.
_DETECTOR_MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(2**29), "MALLOC_MMAP_THRESHOLD_": str(2**29)}
_THIS = (sys.executable, "-m", "maskwatch")


def stages(settings: Settings, camera: Sequence[str], metrics_dir: Path) -> Iterator[Child]:
    """Yield what there must be to see a picture, the slowest to be ready first.

    Parameters
    ----------
    settings
        The whole tree.
    camera
        What `maskwatch camera` is told.
    metrics_dir
        Where all of them write their metrics.
    """
    env = _env(settings, metrics_dir)
    yield Child(name="detector", command=(*_THIS, "detector"), rank=STAGE_RANK, env=env | _DETECTOR_MALLOC)
    yield Child(name="camera", command=(*_THIS, "camera", *camera), rank=CAMERA_RANK, env=env, stop_timeout_s=3)
    names = ["api", "live", "archive", *(["mqtt"] if settings.mqtt.url.get_secret_value() else [])]
    for name in names:
        yield Child(name=name, command=(*_THIS, name), rank=STAGE_RANK, env=env)


def watchers(settings: Settings, metrics_dir: Path) -> Iterator[Child]:
    """Yield what nobody waits for: drift takes minutes to be told anyway, and labels wait in Kafka."""
    for name in ("drift", "alerts", "dataset", "rollout", "retrainer"):
        yield Child(name=name, command=(*_THIS, name), rank=STAGE_RANK, env=_env(settings, metrics_dir))


def _env(settings: Settings, metrics_dir: Path) -> dict[str, str]:
    env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics_dir), "MASKWATCH_LOGS__FORMAT": "json"}
    # Static members: what is killed comes back to its partitions at once, not when its old session ends.
    for stage in ("DETECTOR", "LIVE", "DRIFT"):
        env[f"MASKWATCH_{stage}__INSTANCE"] = f"{platform.node()}-{settings.api.port}"
    return env
