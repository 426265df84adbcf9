"""What must hold before anything is started: one instance a data folder, and ports that nobody has."""

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from maskwatch.errors import AlreadyRunningError, StackError


@contextmanager
def only_instance(run_dir: Path, address: str) -> Iterator[None]:
    """Hold the data folder for this process.

    Parameters
    ----------
    run_dir
        Where the lock lies.
    address
        What a second start tells its user to open.

    Raises
    ------
    AlreadyRunningError
        If another process holds it; the message has its pid and address.
    StackError
        If the folder cannot be written.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        lock = (run_dir / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise StackError(f"{run_dir} cannot be written: {error.strerror}; set MASKWATCH_DATA_DIR") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid, _, where = lock.read().partition(" ")
            raise AlreadyRunningError(
                f"already running (pid {pid}): {where}; another beside it needs its own MASKWATCH_DATA_DIR and ports"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()} {address}")
        lock.flush()
        yield


def check_ports(wanted: Mapping[str, int]) -> None:
    """Make sure that ports are free on loopback.

    Parameters
    ----------
    wanted
        Ports by the setting that names them, such as ``kafka.port``.

    Raises
    ------
    StackError
        If one is taken; the message says by whom and how to use another.
    """
    for setting, port in wanted.items():
        if is_free(port):
            continue
        variable = f"MASKWATCH_{setting.upper().replace('.', '__')}"
        other = next(
            number for number in range(port + 100, 65_536) if is_free(number) and number not in wanted.values()
        )
        raise StackError(f"port {port} is taken by {owner(port)}: stop it, or {variable}={other} make up")


def is_free(port: int) -> bool:
    """Whether nobody listens on a loopback port."""
    with socket.socket() as probe:
        # As servers do, or a port would count as taken for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def owner(port: int) -> str:
    """Name who listens on a port, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        # macOS shows other processes' connections to the superuser only.
        pass
    return "another user's process"
