import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from prometheus_client import multiprocess

from maskwatch import metrics
from maskwatch.metrics import Figure, exposition
from tests.support.ports import free_port


def test_every_metric_carries_our_name_and_a_text() -> None:
    text = exposition().decode()
    ours = re.findall(r"^# HELP (maskwatch_\S+) (.+)$", text, re.MULTILINE)
    assert len(ours) >= 15
    assert all(len(about) > 10 for _, about in ours)


def test_processes_on_one_machine_are_shown_together(tmp_path: Path) -> None:
    code = "from maskwatch import metrics; metrics.FRAMES_DETECTED.labels('live').inc({})"
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for count in (2, 3):
        subprocess.run([sys.executable, "-c", code.format(count)], env=env, timeout=60, check=True)
    show = "from maskwatch.metrics import exposition; print(exposition().decode())"
    done = subprocess.run([sys.executable, "-c", show], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert 'maskwatch_frames_detected_total{lane="live"} 5.0' in done.stdout


def test_the_figures_of_each_living_process_stand_apart(tmp_path: Path) -> None:
    code = (
        "from maskwatch import metrics; metrics.FRAMES_DETECTED.labels('live').inc({});"
        "metrics.MEMORY_BYTES.labels('detector').set(7); import os; print(os.getpid())"
    )
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    pids = [
        int(subprocess.check_output([sys.executable, "-c", code.format(count)], env=env, text=True, timeout=60))
        for count in (2, 3)
    ]
    # As the supervisor does for what has ended.
    multiprocess.mark_process_dead(pids[0], str(tmp_path))  # type: ignore[no-untyped-call]
    show = (
        "from maskwatch.metrics import Figure, by_process; found = by_process();"
        "print([(pid, figures[Figure('maskwatch_frames_detected_total', (('lane', 'live'),))],"
        " figures[Figure('maskwatch_memory_bytes', (('stage', 'detector'),))]) for pid, figures in found.items()])"
    )
    told = subprocess.check_output([sys.executable, "-c", show], env=env, text=True, timeout=60)
    assert told.strip() == f"[({pids[1]}, 3.0, 7.0)]"


def test_without_a_supervisor_this_process_stands_alone() -> None:
    metrics.VIEWERS.set(0)
    assert metrics.by_process()[os.getpid()][Figure("maskwatch_viewers")] == 0


def test_a_stage_can_serve_its_own() -> None:
    port = free_port()
    server = metrics.serve(port)
    assert server is not None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:  # ours
            assert b"maskwatch_loop_lag_seconds" in answer.read()
    finally:
        server.shutdown()
        server.server_close()
    assert metrics.serve(0) is None
