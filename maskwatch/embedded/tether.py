"""Start a program that dies with its supervisor, even when that one is killed (Linux).

Run as ``python -I -S tether.py SUPERVISOR_PID PROGRAM ARGUMENT…``. It asks the kernel for the signal and then becomes
the program, so that nothing of it stays. Elsewhere than on Linux, what a killed supervisor left is ended by the next
start.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(supervisor: int, command: list[str]) -> None:  # pragma: no cover  # it becomes another program
    """Become the command, tethered to the supervisor."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before the kernel was asked.
    if os.getppid() != supervisor:
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606  # that is the job
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":  # pragma: no cover
    main(int(sys.argv[1]), sys.argv[2:])
