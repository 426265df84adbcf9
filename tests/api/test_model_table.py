from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from api import model_answers, model_table
from api.label_table import LabelTable
from api.model_schemas import VersionSummary
from api.model_table import AmbiguousError, ModelTable
from maskwatch.errors import MessageError
from maskwatch.label_messages import FrameLabel
from maskwatch.learning_settings import RetrainSettings
from maskwatch.topics import Name
from tests.support import judged
from tests.support.judged import NOON

LATER = NOON + timedelta(hours=1)


def tell(table: ModelTable, name: Name, message: msgspec.Struct | None, key: str = "") -> None:
    value = msgspec.json.encode(message) if message else None
    record: Any = SimpleNamespace(key=key.encode(), value=value)
    table.take(name, record)


def test_the_newest_record_of_each_key_counts_and_an_empty_one_takes_it_back() -> None:
    table = ModelTable()
    assert (table.champion, table.serves(), table.running(), table.last_round()) == (None, "", None, None)
    tell(table, Name.MODELS, judged.champion("2"))
    tell(table, Name.MODELS, judged.champion("3", "2", at=LATER))
    assert table.serves() == judged.model("3").sha256
    tell(table, Name.MODEL_VERSIONS, judged.version("2", "champion"))
    tell(table, Name.MODEL_VERSIONS, judged.version("2", "retired", at=LATER))
    tell(table, Name.MODEL_VERSIONS, judged.version("1", "refused"))
    assert [(one.model.version, one.state) for one in table.versions()] == [("2", "retired"), ("1", "refused")]
    tell(table, Name.MODEL_VERSIONS, None, judged.model("1").sha256)
    assert [one.model.version for one in table.versions()] == ["2"]
    tell(table, Name.RUNS, judged.run("r1", "running"))
    running = table.running()
    assert running is not None
    assert running.id == "r1"
    tell(table, Name.RUNS, None, "r1")
    assert table.runs() == []
    with pytest.raises(MessageError):
        tell(table, Name.RUNS, judged.champion("2"))


def test_a_version_is_found_by_its_name_unless_several_have_it() -> None:
    table = ModelTable()
    two = judged.version("2", "retired")
    tell(table, Name.MODEL_VERSIONS, two)
    assert table.version("2") == table.version(two.model.sha256) == two
    with pytest.raises(KeyError):
        table.version("3")
    other = msgspec.structs.replace(two, model=msgspec.structs.replace(two.model, sha256="cd" * 32))
    tell(table, Name.MODEL_VERSIONS, other)
    with pytest.raises(AmbiguousError):
        table.version("2")
    assert table.version("cd" * 32) == other


def test_labels_count_since_the_newest_round_began_however_it_ended_and_evaluations_are_no_rounds() -> None:
    table, labels = ModelTable(), LabelTable(10)
    for number, at in enumerate((NOON - timedelta(hours=1), NOON, LATER + timedelta(minutes=1))):
        labels.take_label(FrameLabel(f"f{number}", "labelled", at, "ann"))
    assert model_answers.since_last_round(table, labels) == 3
    tell(table, Name.RUNS, judged.run("r1"))
    tell(table, Name.RUNS, judged.run("r2", "failed", at=LATER))
    again = msgspec.structs.replace(judged.run("e1", at=LATER + timedelta(hours=1)), kind="evaluate")
    tell(table, Name.RUNS, again)
    # One that never began has had none.
    tell(table, Name.RUNS, msgspec.structs.replace(again, id="r3", kind="retrain", attempts=0))
    assert model_answers.since_last_round(table, labels) == 1
    # What is erased counts no more, and takes nothing from what comes later.
    for number in range(3):
        labels.take_label(FrameLabel(f"f{number}", "erased", LATER + timedelta(hours=2), "ann"))
    assert model_answers.since_last_round(table, labels) == 0
    labels.take_label(FrameLabel("f9", "labelled", LATER + timedelta(hours=2), "ann"))
    assert model_answers.since_last_round(table, labels) == 1


def test_what_labels_have_done_is_what_the_newest_verdict_says() -> None:
    table = ModelTable()
    assert model_answers.labels_done(table) is None
    tell(table, Name.RUNS, judged.run("r1", made="2", told=judged.verdict("2"), new=100))
    tell(table, Name.RUNS, judged.run("r2", "failed", at=LATER))
    done = model_answers.labels_done(table)
    assert done is not None
    assert (done.run, done.labels, done.gain, done.promoted) == ("r1", 100, 0.042, True)
    assert done.model is not None
    assert done.model.version == "2"


def test_a_version_says_what_it_was_trained_on_and_why_it_was_refused() -> None:
    table = ModelTable()
    bad = judged.version("2", "refused", judged.verdict("2", gain=None))
    tell(table, Name.MODEL_VERSIONS, bad)
    summary = model_answers.version(VersionSummary, table, bad)
    assert (summary.run, summary.lesson) == (None, None)
    assert summary.verdict is not None
    assert (summary.verdict.gain, summary.verdict.against) == (None, ["better on the holdout"])
    assert summary.verdict.not_judged == 2
    assert "nobody can say whether it is better" in summary.verdict.sentence
    tell(table, Name.RUNS, judged.run("r1", made="2"))
    summary = model_answers.version(VersionSummary, table, bad)
    assert (summary.run, summary.new_labels) == ("r1", 100)
    assert summary.lesson is not None
    assert summary.lesson.sources == {"door-2": 70, "gate": 30}


def test_a_version_that_was_judged_again_has_both_verdicts() -> None:
    table = ModelTable()
    two = judged.version("2", "refused", judged.verdict("2", gain=-0.01))
    tell(table, Name.MODEL_VERSIONS, two)
    assert model_answers.whole_version(table, two).evaluation is None
    again = judged.run("e1", made="2", told=judged.verdict("2", gain=0.03))
    tell(table, Name.RUNS, msgspec.structs.replace(again, kind="evaluate"))
    whole = model_answers.whole_version(table, two)
    assert whole.judged is not None
    assert whole.evaluation is not None
    assert (whole.judged.promote, whole.evaluation.verdict.promote) == (False, True)
    assert [row.name for row in whole.judged.conditions] == [row.name for row in judged.verdict("2").conditions]
    assert table.made(two.model.sha256) is None


def test_the_minutes_are_those_of_the_last_rounds_own_pace() -> None:
    table, settings = ModelTable(), RetrainSettings()
    assert model_answers.expected_minutes(table, 0, settings) is None
    assert model_answers.expected_minutes(table, 100, settings) == 4.4
    # 264 pictures took 26.4 s, as fast as is usual; another took twice as long.
    tell(table, Name.RUNS, judged.run("r1"))
    assert model_answers.expected_minutes(table, 100, settings) == 4.4
    slow = judged.run("r2", at=LATER)
    assert slow.progress is not None
    history = tuple(msgspec.structs.replace(one, seconds=52.8) for one in slow.progress.history)
    progress = msgspec.structs.replace(slow.progress, history=history)
    tell(table, Name.RUNS, msgspec.structs.replace(slow, progress=progress))
    assert model_answers.expected_minutes(table, 100, settings) == 8.9


def test_there_is_an_end_to_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_table, "MOST_VERSIONS", 1)
    monkeypatch.setattr(model_table, "MOST_RUNS", 1)
    table = ModelTable()
    tell(table, Name.MODEL_VERSIONS, judged.version("1", "refused"))
    with pytest.raises(MessageError, match="1 versions already"):
        tell(table, Name.MODEL_VERSIONS, judged.version("2", "refused"))
    tell(table, Name.RUNS, judged.run("r1"))
    tell(table, Name.RUNS, judged.run("r2", at=LATER))
    assert [run.id for run in table.runs()] == ["r2"]
