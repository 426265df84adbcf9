"""`maskwatch up`: everything on this machine, from the first download to the first picture with boxes.

What is embedded and what is the user's own is decided by two settings alone (`kafka.bootstrap_servers`,
`valkey.url`). The stores start first, then every stage at once; what takes long is what the screen tells. From then on
the supervisor keeps everything up until a signal ends it.
"""

import asyncio
import contextlib
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from maskwatch import __version__
from maskwatch.addresses import without_user
from maskwatch.embedded import jars, valkey
from maskwatch.embedded.broker import Broker
from maskwatch.embedded.children import STORE_RANK, stages, watchers
from maskwatch.embedded.ground import check_ports, only_instance
from maskwatch.embedded.lan import Door, invitation, prepare
from maskwatch.embedded.screen import Screen, megabytes
from maskwatch.embedded.supervisor import Child, Supervisor, end_leftovers, tethered
from maskwatch.embedded.webcams import webcam_hint, webcams
from maskwatch.errors import SettingsError, StackError
from maskwatch.settings import Settings

PICTURE_TIMEOUT_S = 30
PICTURE_POLL_S = 0.1
ARCHIVE_DELAY_S = 20
SECOND_SIGNAL_S = 0.5

_T = TypeVar("_T")


def up(
    settings: Settings,
    *,
    sources: Sequence[str] = (),
    cameras_file: Path | None = None,
    demo: bool = True,
    lan: bool = False,
) -> int:
    """Run everything until a signal.

    Parameters
    ----------
    settings
        The whole tree. The stages read theirs from the same variables and the same file as this process did.
    sources
        Cameras to show; without any, and without a file, those that are wished for.
    cameras_file
        A ``cameras.toml``.
    demo
        Show the demo scene when no camera is wished for either.
    lan
        Let machines nearby in, with a token and over HTTPS.

    Returns
    -------
    int
        Exit code: 0 after a signal.

    Raises
    ------
    StackError
        If something that all else needs cannot be fetched or started; what was started has ended.
    AlreadyRunningError
        If another process runs on this data folder.
    SettingsError
        If both sources and a file are given.
    """
    if sources and cameras_file:
        raise SettingsError("give --camera or --cameras, not both; a cameras.toml may name any source")
    screen = Screen(Console(highlight=False), everything=settings.logs.level == "debug")
    door = prepare(settings) if lan else None
    if door is not None:
        settings = door.settings(settings)
    with only_instance(settings.data_dir / "run", address(settings)):
        camera = camera_arguments(settings, sources, cameras_file, demo=demo)
        return asyncio.run(_run(_Stack(settings, camera, screen, door)))


def address(settings: Settings) -> str:
    """Return where a browser on this machine finds the console."""
    host = settings.api.host if settings.api.host not in {"0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104  # compared
    scheme = "https" if settings.api.cert_file else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.api.port}"


def camera_arguments(
    settings: Settings, sources: Sequence[str], cameras_file: Path | None, *, demo: bool = True
) -> list[str]:
    """Return what `maskwatch camera` is to be told; many sources, and passwords, are written into a file for it."""
    if cameras_file is not None:
        return ["--file", str(cameras_file.resolve()), "--and-wished"]
    if len(sources) == 1 and without_user(sources[0]) == sources[0]:
        return [sources[0], "--and-wished"]
    if not sources:
        return ["--or-demo"] if demo else []
    rows = [str(Path(source).resolve()) if Path(source).exists() else source for source in sources]
    file = settings.data_dir / "run" / "cameras.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    # It may hold passwords. A JSON string is a TOML string.
    file.touch(mode=0o600)
    file.write_text("".join(f"[[camera]]\nsource = {json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return ["--file", str(file), "--and-wished"]


async def _run(stack: "_Stack") -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    first = 0.0

    def signalled() -> None:
        nonlocal first
        if not stop.is_set():
            first = loop.time()
            stop.set()
        # Some that end a program signal it and its group, which is one wish and not two.
        elif loop.time() - first > SECOND_SIGNAL_S:
            stack.hurry()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, signalled)
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
        await stopping
        stack.screen.line("")
        stack.screen.line("stopping; a second Ctrl-C does not wait")
    finally:
        began = time.monotonic()
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await stack.stop()
    stack.screen.line(f"stopped in {time.monotonic() - began:.0f} s; nothing recorded is lost")
    return 0


class _Stack:
    """Everything that `up` starts, in the order in which it can be started."""

    def __init__(self, settings: Settings, camera: Sequence[str], screen: Screen, door: Door | None) -> None:
        self.screen = screen
        self._settings = settings
        self._camera = tuple(camera)
        self._door = door
        self._run_dir = settings.data_dir / "run"
        self._metrics_dir = self._run_dir / "metrics"
        self._supervisor = Supervisor(self._run_dir, settings.data_dir / "logs", screen, self._forget)
        self._stopped = threading.Event()
        self._once_s = 0.0
        self._cameras = True
        self._later: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start everything, and tell how it went.

        Raises
        ------
        StackError
            If a store or the API does not start.
        """
        settings = self._settings
        began = time.monotonic()
        broker = None if settings.kafka.bootstrap_servers else Broker.of(settings)
        lacking = jars.missing(broker.own_jars) if broker and not broker.jars else []
        self._say_title(sum(jar.bytes for jar in lacking))
        self._prepare_folders()
        # 1. The stores, both at once: nothing works without them.
        stores = [self._start_kafka(broker, lacking)] if broker else []
        if not settings.valkey.url.get_secret_value():
            stores.append(self._start_valkey())
        await _all_of(stores)
        # 2. The topics, before anybody subscribes.
        await self._prepare_topics()
        # 3. The stages, all at once: each waits for nothing but the stores.
        up = await _all_of(
            [self._start_stage(child) for child in stages(self._settings, self._camera, self._metrics_dir)]
        )
        # 4. What it is all for.
        seen = all(up) and (not self._cameras or await self._await_picture())
        self._say_ready(time.monotonic() - began, seen=seen)
        # 5. What nobody waits for.
        self._later.append(asyncio.create_task(self._start_watchers()))
        if broker:
            from maskwatch.embedded.sharing import keep_sharing  # noqa: PLC0415  # slow to import, and nobody waits now

            self._later.append(asyncio.create_task(keep_sharing(self._settings)))
            if not broker.archive.is_file():
                self._later.append(asyncio.create_task(archive_classes(broker, ARCHIVE_DELAY_S)))

    async def stop(self) -> None:
        """End everything."""
        self._stopped.set()
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        await self._supervisor.stop()

    async def _start_watchers(self) -> None:
        for child in watchers(self._settings, self._metrics_dir):
            await self._start_stage(child)

    def hurry(self) -> None:
        """Kill what has not ended yet."""
        self._supervisor.kill()

    def _say_title(self, missing_bytes: int) -> None:
        first = f" · first start: {megabytes(missing_bytes)} of Kafka, then nothing is fetched again"
        self.screen.line(f"Maskwatch {__version__}{first if missing_bytes else ''}", "bold")

    def _prepare_folders(self) -> None:
        if left := end_leftovers(self._run_dir):
            self.screen.line(f"  ended what an earlier run had left: {', '.join(left)}")
        settings = self._settings
        wanted = {"api.port": settings.api.port}
        if not settings.kafka.bootstrap_servers:
            wanted["kafka.port"] = settings.kafka.port
        if not settings.valkey.url.get_secret_value():
            wanted["valkey.port"] = settings.valkey.port
        check_ports(wanted)
        shutil.rmtree(self._metrics_dir, ignore_errors=True)
        self._metrics_dir.mkdir(parents=True)

    async def _start_kafka(self, broker: Broker, lacking: Sequence[jars.Jar]) -> None:
        began = time.monotonic()
        if lacking:  # 1. What happens once.
            with self.screen.fetching(f"Apache Kafka {jars.KAFKA_VERSION}", sum(jar.bytes for jar in lacking)) as bar:
                await asyncio.to_thread(jars.fetch, broker.own_jars, self._interruptible(bar))
        with self.screen.waiting("Apache Kafka"):
            classpath = await asyncio.to_thread(broker.classpath)
            if not broker.formatted:
                await asyncio.to_thread(broker.format, classpath)
                self._once_s = time.monotonic() - began
            # 2. What happens every time.
            command = tuple(await asyncio.to_thread(broker.command, classpath))
            await self._supervisor.start(
                Child(
                    name="kafka",
                    command=command,
                    rank=STORE_RANK,
                    port=broker.port,
                    # After a power cut it reads everything through again.
                    start_timeout_s=180,
                    stop_timeout_s=5,
                )
            )
        kept = f"checked, kept in {_short(broker.own_jars)}" if lacking else ""
        self.screen.done(f"Apache Kafka {_kafka_version(classpath)}", kept, time.monotonic() - began)

    def _interruptible(self, advance: Callable[[int], None]) -> Callable[[int], None]:
        def checked(count: int) -> None:
            # The threads that fetch cannot be cancelled from outside.
            if self._stopped.is_set():
                raise StackError("stopped while fetching")
            advance(count)

        return checked

    async def _start_valkey(self) -> None:
        port = self._settings.valkey.port
        command = tuple(valkey.command(port))
        with self.screen.waiting("Valkey"):
            await self._supervisor.start(Child(name="valkey", command=command, rank=STORE_RANK, port=port))

    async def _prepare_topics(self) -> None:
        # Imported while the broker starts, which is when there is time.
        from maskwatch import topics  # noqa: PLC0415

        kafka = self._settings.kafka
        began = time.monotonic()
        with self.screen.waiting("topics"):
            created = await topics.ensure(self._settings, topics.disk_budget(self._settings))
        if created:
            self._once_s += time.monotonic() - began
        store = "your Valkey" if self._settings.valkey.url.get_secret_value() else f"Valkey {valkey.version()}"
        where = f" on {kafka.bootstrap_servers}" if kafka.bootstrap_servers else ""
        self.screen.done(f"{store} · {len(topics.TOPICS)} topics{where}")

    async def _start_stage(self, child: Child) -> bool:
        began = time.monotonic()
        try:
            with self.screen.waiting(child.name):
                status = await self._supervisor.start(child)
        except StackError as error:
            if child.name == "api":
                raise
            self.screen.failed(child.name, str(error))
            return False
        if child.name == "camera":
            name, _, detail = status.partition("» ")
            self._cameras = bool(detail)
            self.screen.done(f"{name}»" if detail else name, f"{detail}{webcam_hint(self._camera, webcams())}")
        elif child.name == "detector":
            self.screen.done(child.name, status, time.monotonic() - began)
        return True

    async def _await_picture(self) -> bool:
        from redis.asyncio import Redis  # noqa: PLC0415  # slow to import, and there is time only now
        from redis.exceptions import RedisError  # noqa: PLC0415

        timeout_s = self._settings.valkey.timeout_s
        store = Redis.from_url(self._settings.valkey_url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        with self.screen.waiting("first picture"), contextlib.suppress(TimeoutError, RedisError, OSError):
            async with store, asyncio.timeout(PICTURE_TIMEOUT_S):
                while True:
                    async for _ in store.scan_iter(match="live:*", count=1000):
                        return True
                    await asyncio.sleep(PICTURE_POLL_S)
        return False

    def _say_ready(self, took: float, *, seen: bool) -> None:
        settings = self._settings
        again = f" (next time about {took - self._once_s:.0f} s)" if self._once_s >= 1 else ""
        if seen:
            self.screen.line(f"ready in {took:.1f} s{again}", "bold green")
        else:
            self.screen.line(f"up after {took:.1f} s, but no picture yet: «maskwatch doctor» tells why", "bold yellow")
        prefix = settings.kafka.topic_prefix
        self.screen.line(f"  open   {address(settings)}")
        if self._door is not None:
            for line in invitation(self._door, settings.api.port):
                self.screen.line(line)
        self.screen.line(
            f"  kafka  {settings.bootstrap_servers}      {prefix}frames.live.v1 · {prefix}detections.v1 · …"
            " («maskwatch topics»)"
        )
        self.screen.line(f"  logs   {_short(settings.data_dir / 'logs')}")
        self.screen.line("Ctrl-C stops everything; nothing recorded is lost.")

    def _forget(self, pid: int) -> None:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415  # only when something ends

        mark_process_dead(pid, str(self._metrics_dir))  # type: ignore[no-untyped-call]


async def archive_classes(broker: Broker, delay_s: float) -> None:
    """Make the archive of classes that halves the broker's next start, with what time is left over.

    Parameters
    ----------
    broker
        A broker that has run without an archive.
    delay_s
        How long to wait first, in seconds: the first minute has other work.
    """
    await asyncio.sleep(delay_s)
    command = ("nice", "-n", "19", *broker.archive_command(broker.classpath()))
    process = await asyncio.create_subprocess_exec(
        *tethered(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        if await process.wait() == 0:
            broker.keep_archive()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _all_of(work: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except* StackError as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


def _kafka_version(classpath: str) -> str:
    found = re.search(r"kafka-clients-([\w.-]+)\.jar", classpath)
    return found[1] if found else "of your own"


def _short(path: Path) -> str:
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
