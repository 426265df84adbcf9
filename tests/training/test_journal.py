"""A training's journal: what is written is there, once, whatever ends the writer."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import TrackingError
from training.journal import (
    MOST,
    Became,
    Begun,
    Event,
    Journal,
    Kept,
    Metrics,
    Parameters,
    State,
    Tags,
    journal_of,
    read,
)
from training.journal import trainings_below as below

STATES: tuple[State, ...] = ("RUNNING", "FINISHED")


def told(folder: Path) -> list[Event]:
    begun, *events = read(folder)
    assert isinstance(begun, Begun)
    return events


def test_a_resumed_training_goes_on_in_its_journal(tmp_path: Path) -> None:
    for state in STATES:
        journal = Journal(tmp_path, state)
        journal.become(state)
        journal.close()
    begun = [event for event in read(tmp_path) if isinstance(event, Begun)]
    assert [event.name for event in begun] == ["RUNNING"]
    assert [event.state for event in told(tmp_path) if isinstance(event, Became)] == ["RUNNING", "FINISHED"]


def test_what_is_told_again_is_written_once(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal(tmp_path, "a")
        for _ in range(2):
            journal.parameters({"epochs": 3})
            journal.tags({"manifest": "00"})
            journal.metrics(1, {"loss": 0.5})
            journal.metrics(2, {"loss": 0.25})
        journal.close()
    kinds = [type(event) for event in told(tmp_path)]
    assert kinds == [Parameters, Tags, Metrics, Metrics]


def test_a_repeated_epoch_adds_only_what_was_not_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    journal.metrics(1, {"loss": 0.5})
    journal.metrics(1, {"loss": 0.4, "mAP50": 0.1})
    assert [event.values for event in told(tmp_path) if isinstance(event, Metrics)] == [{"loss": 0.5}, {"mAP50": 0.1}]


def test_a_parameter_that_is_told_otherwise_becomes_a_tag(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    journal.parameters({"epochs": 3, "batch": 16})
    journal.parameters({"epochs": 4, "batch": 16})
    assert [event.values for event in told(tmp_path) if isinstance(event, Parameters | Tags)] == [
        {"epochs": "3", "batch": "16"},
        {"changed.epochs": "4"},
    ]


def test_the_latest_value_of_a_tag_counts_even_if_it_is_an_earlier_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    for cores in (2, 8, 2):
        journal.tags({"cores": cores})
    assert [event.values["cores"] for event in told(tmp_path) if isinstance(event, Tags)] == ["2", "8", "2"]


def test_an_event_holds_no_more_than_mlflow_takes(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    journal.parameters({f"p{number}": number for number in range(2 * MOST + 1)})
    assert [len(event.values) for event in told(tmp_path) if isinstance(event, Parameters)] == [MOST, MOST, 1]


def test_what_is_no_number_is_kept_as_that(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    journal.metrics(1, {"loss": math.nan, "other": math.inf, "mAP50(B)": 1})
    assert [event.values for event in told(tmp_path) if isinstance(event, Metrics)] == [
        {"loss": None, "other": None, "mAP50B": 1.0}
    ]


def test_a_kept_file_outlives_its_original_and_the_newer_one_replaces_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "a")
    file = tmp_path / "curves.png"
    for content in (b"first", b"second"):
        file.write_bytes(content)
        journal.keep(file, "curves")
    file.unlink()
    assert (tmp_path / "tracking/kept/curves/curves.png").read_bytes() == b"second"
    assert [event.path for event in told(tmp_path) if isinstance(event, Kept)] == ["curves/curves.png"] * 2
    assert list((tmp_path / "tracking/kept").rglob("*.part")) == []


@given(st.data())
def test_a_torn_last_line_is_cut_off_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    journal = Journal(folder, "a")
    for epoch in range(3):
        journal.metrics(epoch, {"loss": 1 / (epoch + 1)})
    journal.close()
    whole = journal_of(folder).read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    journal_of(folder).write_bytes(whole[:cut])
    before = list(read(folder))
    assert len(before) == whole[:cut].count(b"\n")
    journal = Journal(folder, "a")
    journal.metrics(7, {"loss": 0.0})
    journal.close()
    events = list(read(folder))
    assert events[: len(before)] == before
    assert isinstance(events[-1], Metrics)
    assert events[-1].step == 7
    assert isinstance(events[0], Begun)


def test_a_journal_that_was_damaged_is_named_with_the_line(tmp_path: Path) -> None:
    Journal(tmp_path, "a").close()
    with journal_of(tmp_path).open("ab") as file:
        file.write(b'{"type": "unheard of"}\n')
    with pytest.raises(TrackingError, match=r"journal\.jsonl, line 2 is no event"):
        Journal(tmp_path, "a")


def test_reading_goes_on_where_it_was_and_needs_no_journal(tmp_path: Path) -> None:
    assert list(read(tmp_path)) == []
    journal = Journal(tmp_path, "a")
    journal.become("RUNNING")
    assert list(read(tmp_path, 1)) == told(tmp_path)
    assert list(read(tmp_path, 2)) == []


def test_trainings_are_found_below_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a/deep"):
        Journal(tmp_path / name, name).close()
    assert list(below(tmp_path)) == [tmp_path / "a/deep", tmp_path / "b"]
    assert list(below(tmp_path / "b")) == [tmp_path / "b"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from training.errors import TrackingError
from training.journal import Journal
journal = Journal(Path(sys.argv[1]), "a")
journal.metrics(1, {"loss": 0.5})
# The file may grow by half a line more.
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = (Path(sys.argv[1]) / "tracking/journal.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, size + 20))
try:
    journal.metrics(2, {"loss": 0.25})
except TrackingError as error:
    print(error)
"""


def test_a_full_disk_is_said_and_leaves_no_half_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "could not be written whole; make room on the disk" in done.stdout
    assert journal_of(tmp_path).read_bytes().endswith(b"\n")
    assert [event.step for event in told(tmp_path) if isinstance(event, Metrics)] == [1]


KILLED = """
import sys
from pathlib import Path
from training.journal import Journal
journal = Journal(Path(sys.argv[1]), "a")
for epoch in range(10**9):
    journal.metrics(epoch, {"loss": 1.0})
    print(epoch, flush=True)
"""


def test_after_kill_9_every_epoch_that_was_told_is_there(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            last = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        rest = writer.stdout.read().split()
    last = int(rest[-1]) if rest else last
    steps = [event.step for event in told(tmp_path) if isinstance(event, Metrics)]
    assert steps[: last + 1] == list(range(last + 1))
    assert len(steps) <= last + 2
