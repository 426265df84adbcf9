import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from maskwatch.embedded.ground import check_ports, is_free, only_instance, owner
from maskwatch.errors import AlreadyRunningError, StackError

HOLD = """
import sys
from pathlib import Path
from maskwatch.embedded.ground import only_instance
with only_instance(Path(sys.argv[1]), "http://127.0.0.1:8000"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_instance_learns_where_the_first_is(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        expected = rf"already running \(pid {first.pid}\): http://127\.0\.0\.1:8000"
        for _ in range(2):
            with pytest.raises(AlreadyRunningError, match=expected) as refused, only_instance(tmp_path, "other"):
                pass
        assert refused.value.exit_code == 75
        # A killed first instance holds nothing.
        first.kill()
        first.wait()
    with only_instance(tmp_path, "http://127.0.0.1:9000"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()} http://127.0.0.1:9000"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StackError, match=r"file/run cannot be written: .*; set MASKWATCH_DATA_DIR"),
        only_instance(tmp_path / "file" / "run", ""),
    ):
        pass


def test_a_taken_port_is_named_with_its_owner_and_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        expected = rf"port {port} is taken by .+ \(pid {os.getpid()}\): stop it, or MASKWATCH_KAFKA__PORT=\d+ make up"
        with pytest.raises(StackError, match=expected):
            check_ports({"kafka.port": port})
    check_ports({"kafka.port": port})


def test_nobody_known_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert owner(bound.getsockname()[1]) == "another user's process"
