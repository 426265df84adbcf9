"""`maskwatch doctor`: what is reachable, which versions, how fast this machine detects, and what to do about the rest.

Every check gives one line: what was found, and, where something is missing, the next command. Nothing is started,
fetched or changed.
"""

import asyncio
import json
import os
import platform
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import click
import msgspec

from maskwatch import __version__
from maskwatch.embedded import jars, valkey
from maskwatch.embedded.broker import Broker
from maskwatch.embedded.ground import is_free, owner
from maskwatch.embedded.screen import megabytes
from maskwatch.embedded.up import address
from maskwatch.embedded.webcams import webcams
from maskwatch.errors import BrokerError, MaskwatchError, ModelError, StackError
from maskwatch.settings import Settings

CALIBRATION_S = 3.0
TIMEOUT_S = 2.0
LEAST_DISK = 2 * 10**9
"""Bytes; under it topics hold minutes instead of days."""

_PACKAGES = {"OpenVINO": "openvino", "OpenCV": "opencv-python-headless"}


Look = Callable[[Settings], "Iterator[Check]"]


class Check(msgspec.Struct, frozen=True):
    """What one look found."""

    name: str
    found: str
    remedy: str = ""
    """The next command; empty when nothing is missing."""

    @property
    def ok(self) -> bool:
        """Whether nothing is missing."""
        return not self.remedy


def doctor(settings: Settings, *, as_json: bool, looks: Sequence[Look] | None = None) -> int:
    """Look at everything and print it.

    Parameters
    ----------
    settings
        The whole tree.
    as_json
        Print JSON, for scripts.
    looks
        What to look at; everything without it.

    Returns
    -------
    int
        0 when nothing is missing, else 1.
    """
    checks = []
    if not as_json:
        click.echo(" · ".join(f"{name} {version}" for name, version in versions().items()))
    for look in LOOKS if looks is None else looks:
        for check in look(settings):
            checks.append(check)
            if not as_json:
                _print(check)
    fine = all(check.ok for check in checks)
    if as_json:
        rows = [{**msgspec.structs.asdict(check), "ok": check.ok} for check in checks]
        click.echo(json.dumps({"ok": fine, "versions": versions(), "checks": rows}, indent=2, ensure_ascii=False))
    elif fine:
        click.echo("nothing is missing")
    return 0 if fine else 1


def versions() -> dict[str, str]:
    """Return the versions that a bug report should name."""
    found = {"Maskwatch": __version__, "Python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            found[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found | {platform.system(): f"{platform.machine()}, {os.cpu_count()} cores"}


def look_at_kafka(settings: Settings) -> Iterator[Check]:
    """Tell whether there is a broker, or all that it takes to start one, and whether it has our topics."""
    from maskwatch import topics  # noqa: PLC0415  # its client is slow to import

    kafka = settings.kafka
    if kafka.bootstrap_servers or not is_free(kafka.port):
        try:
            there = {state.name for state in asyncio.run(topics.states(settings))}
        except BrokerError as error:
            remedy = (
                "check kafka.bootstrap_servers, kafka.security and the network between"
                if kafka.bootstrap_servers
                else f"stop {owner(kafka.port)}, or choose another port with MASKWATCH_KAFKA__PORT"
            )
            yield Check("Kafka", str(error), remedy)
            return
        missing = [topic.name for topic in topics.TOPICS if f"{kafka.topic_prefix}{topic.name}" not in there]
        remedy = "maskwatch topics --create" if missing and not kafka.create_topics else ""
        yield Check("Kafka", f"answers at {settings.bootstrap_servers} · {_topics(len(there), len(missing))}", remedy)
        return
    broker = Broker.of(settings)
    lacking = jars.missing(broker.own_jars) if not broker.jars else []
    if lacking:
        size = megabytes(sum(jar.bytes for jar in lacking))
        yield Check("Kafka", f"not running; the first «maskwatch up» fetches {size}")
        return
    try:
        broker.classpath()
    except StackError as error:
        yield Check("Kafka", "its jars are not as they should be", str(error))
    else:
        yield Check("Kafka", f"not running; «maskwatch up» starts it on port {kafka.port}")


def look_at_valkey(settings: Settings) -> Iterator[Check]:
    """Tell whether there is a store, or all that it takes to start one."""
    from redis import Redis  # noqa: PLC0415  # slow to import
    from redis.exceptions import RedisError  # noqa: PLC0415

    own = bool(settings.valkey.url.get_secret_value())
    if not own and is_free(settings.valkey.port):
        try:
            valkey.binary()
        except StackError as error:
            yield Check("Valkey", "not installed", str(error))
        else:
            yield Check("Valkey", f"not running; «maskwatch up» starts {valkey.version()} on {settings.valkey.port}")
        return
    timeout_s = settings.valkey.timeout_s
    try:
        with Redis.from_url(settings.valkey_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s) as store:
            told = store.info("server")
    except (RedisError, OSError) as error:
        # The address may hold a password: it is not repeated.
        remedy = (
            "check valkey.url and the network between"
            if own
            else f"stop {owner(settings.valkey.port)}, or choose another port with MASKWATCH_VALKEY__PORT"
        )
        yield Check("Valkey", f"does not answer ({type(error).__name__})", remedy)
    else:
        version = told.get("valkey_version") or told.get("redis_version")
        yield Check("Valkey", f"{'yours' if own else 'embedded'}, {version}, answers")


def look_at_console(settings: Settings) -> Iterator[Check]:
    """Tell whether the console answers, or whether its port is free for it."""
    url = address(settings)
    if is_free(settings.api.port):
        yield Check("console", f"not running; port {settings.api.port} is free for it")
        return
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=TIMEOUT_S) as answer:  # noqa: S310  # our own address
            answer.read()
        yield Check("console", f"answers at {url}")
    except (urllib.error.URLError, OSError, ValueError):
        who = owner(settings.api.port)
        yield Check("console", f"port {settings.api.port} is taken by {who}", "stop it, or set MASKWATCH_API__PORT")


def look_at_disk(settings: Settings) -> Iterator[Check]:
    """Tell what is free where data lies."""
    from maskwatch import topics  # noqa: PLC0415

    budget = topics.disk_budget(settings)
    free = int(budget / settings.kafka.disk_share)
    found = f"{_gigabytes(free)} free for {settings.data_dir}; topics may fill {_gigabytes(budget)}"
    yield Check("disk", found, "" if free >= LEAST_DISK else "free some space, or set MASKWATCH_DATA_DIR")


def look_at_webcams(settings: Settings) -> Iterator[Check]:  # noqa: ARG001  # every look takes the settings
    """Tell which webcams are there; none is needed."""
    found = webcams()
    names = ", ".join(f"webcam:{number}" for number in found)
    yield Check("webcams", f"{names} («maskwatch camera webcam:{found[0]}»)" if found else "none seen; none is needed")


def look_at_model(settings: Settings) -> Iterator[Check]:
    """Load the model, hold it against its golden picture, and measure how fast it is here."""
    folder = Path(settings.detector.model)
    try:
        from maskwatch.inference import Detector  # noqa: PLC0415  # loads the runtime

        detector = Detector(folder, settings.detector)
    except ImportError as error:
        yield Check("model", f"its runtime cannot be loaded: {error}", "install Maskwatch's packages anew: make up")
        return
    except ModelError as error:
        yield Check("model", f"cannot be used from {folder}", str(error))
        return
    try:
        detector.check_golden()
        speed = detector.calibrate(CALIBRATION_S)
    except MaskwatchError as error:
        yield Check("model", f"{detector.card.name} {detector.card.version} does not work here", str(error))
    else:
        busy = "" if is_free(settings.api.port) else " (measured while Maskwatch is running)"
        yield Check("model", f"{detector.card.name} {detector.card.version}, right on its golden picture")
        yield Check("speed", f"{speed.sentence()}{busy}")
    finally:
        detector.close()


LOOKS: tuple[Look, ...] = (
    look_at_kafka,
    look_at_valkey,
    look_at_console,
    look_at_disk,
    look_at_webcams,
    look_at_model,
)
"""In the order in which they are printed; the slow one is last."""


def _print(check: Check) -> None:
    mark = click.style("✓", fg="green") if check.ok else click.style("✗", fg="red")
    click.echo(f"  {mark} {check.name:<8} {check.found}")
    if not check.ok:
        click.echo(f"    {'':<8} {click.style('→', fg='red')} {check.remedy}")


def _topics(there: int, missing: int) -> str:
    return f"{there} topics" if not missing else f"{there} topics, {missing} missing («maskwatch topics»)"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
