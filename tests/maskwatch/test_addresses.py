import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from maskwatch.addresses import without_user


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how a process looks is the system's own")
def test_no_password_stands_in_the_list_of_processes() -> None:
    code = "import time; from maskwatch.addresses import hide_users; hide_users(); print(1, flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, "camera", "rtsp://viewer:secret@10.0.0.7/1", "--rate", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        shown = " ".join(psutil.Process(process.pid).cmdline())
        whole = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.kill()
    assert "rtsp://10.0.0.7/1 --rate 5" in shown
    assert b"secret" not in whole
    assert b"viewer" not in whole


def test_without_a_password_nothing_is_changed() -> None:
    assert without_user("clips/a@b.mp4") == "clips/a@b.mp4"
    assert without_user("http://[") == "http://["
