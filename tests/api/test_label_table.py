from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from api import label_table
from api.erasures import remains
from api.label_table import LabelTable
from maskwatch.drift_messages import label_request_headers
from maskwatch.errors import MessageError
from maskwatch.label_messages import FrameLabel
from maskwatch.messages import MarkedFace
from maskwatch.topics import Name
from tests.support.labelling import NOON, request

FACE = MarkedFace("with_mask", (0.1, 0.1, 0.3, 0.5))


def ask(table: LabelTable, sequence: int, offset: int = 0) -> str:
    """Have a table read a request; return the frame."""
    one = request(sequence)
    record: Any = SimpleNamespace(
        key=one.frame.id.encode(), value=b"jpeg", headers=label_request_headers(one), partition=2, offset=offset
    )
    table.take(Name.LABEL_REQUESTS, record)
    return one.frame.id


def say(table: LabelTable, label: FrameLabel | None, key: str = "") -> None:
    """Have a table read a label."""
    value = msgspec.json.encode(label) if label else None
    record: Any = SimpleNamespace(key=(label.frame if label else key).encode(), value=value, headers=[])
    table.take(Name.LABELS, record)


def label(frame: str, **more: Any) -> FrameLabel:  # noqa: ANN401  # its fields
    return FrameLabel(**{"frame": frame, "state": "labelled", "at": NOON, "by": "ann", "source": "gate", **more})


def waiting(table: LabelTable) -> list[str]:
    return [one.request.frame.id for one in table.waiting()]


def test_what_has_a_label_waits_no_more_and_the_newest_is_first() -> None:
    table = LabelTable(10)
    one, two, three = (ask(table, number) for number in (1, 2, 3))
    assert waiting(table) == [three, two, one]
    say(table, label(two))
    assert waiting(table) == [three, one]
    # Taken back, it waits again.
    say(table, None, two)
    assert waiting(table) == [three, two, one]
    record: Any = SimpleNamespace(key=two.encode(), value=None, headers=[])
    table.take(Name.LABEL_REQUESTS, record)
    assert waiting(table) == [three, one]
    found = table.request(one)
    assert found is not None
    assert (found.partition, found.offset) == (2, 0)


def test_a_request_that_comes_again_lies_where_it_came_last_and_the_oldest_are_forgotten() -> None:
    table = LabelTable(2)
    one = ask(table, 1)
    ask(table, 1, offset=7)
    found = table.request(one)
    assert found is not None
    assert found.offset == 7
    two, three = ask(table, 2), ask(table, 3)
    assert waiting(table) == [three, two]


def test_a_later_label_replaces_an_earlier_one_and_is_counted_once() -> None:
    table = LabelTable(10)
    say(table, label("a", faces=(FACE,)))
    say(table, label("a"))
    say(table, label("b", source="yard"))
    say(table, label("c", made_by="model"))
    say(table, label("d", made_by="import", source="photographs"))
    assert table.label("a") == label("a")
    assert (table.counted(), table.counted("gate"), table.sources()) == (3, 1, {"gate": 1, "yard": 1, "photographs": 1})
    say(table, label("a", state="skipped"))
    assert (table.counted("gate"), table.sources()) == (0, {"yard": 1, "photographs": 1})


def test_what_is_erased_stays_so_whatever_is_said_later() -> None:
    table = LabelTable(10)
    frame = ask(table, 1)
    say(table, label(frame, sha256="ab"))
    assert [one.frame for one in table.of_picture("ab")] == [frame]
    assert table.of_picture("") == []
    say(table, label(frame, state="erased"))
    say(table, label(frame, at=NOON + timedelta(hours=1)))
    assert table.is_erased(frame)
    assert (table.counted(), waiting(table)) == (0, [])


def test_what_cannot_be_read_is_refused_and_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    table = LabelTable(10)
    with pytest.raises(MessageError):
        table.take(Name.LABELS, SimpleNamespace(key=b"a", value=b"{", headers=[]))
    with pytest.raises(MessageError):
        table.take(Name.LABEL_REQUESTS, SimpleNamespace(key=b"a", value=b"jpeg", headers=[]))
    monkeypatch.setattr(label_table, "MOST_LABELS", 1)
    say(table, label("a"))
    say(table, label("a", state="skipped"))
    with pytest.raises(MessageError, match="1 labels already"):
        say(table, label("b"))


def test_an_erased_picture_lies_on_as_long_as_its_topics_keep_it() -> None:
    erased = label("gate:s1:1", state="erased", at=NOON, captured=NOON - timedelta(hours=1))
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    assert list(remains(erased, NOON)) == [
        (Name.LABELS, NOON + hour),
        (Name.LABEL_REQUESTS, NOON + hour),
        (Name.FRAMES_RECORDING, NOON + 23 * hour + 10 * minute),
    ]
    assert [name for name, _ in remains(erased, NOON + 2 * hour)] == [Name.FRAMES_RECORDING]
    assert list(remains(erased, NOON + 24 * hour)) == []
    # One that is no camera's lies in no topic of frames.
    assert [name for name, _ in remains(label("sha256:ab", state="erased"), NOON)] == [Name.LABELS, Name.LABEL_REQUESTS]


def test_what_a_model_says_leaves_the_frame_waiting_and_what_people_say_standing() -> None:
    table = LabelTable(10)
    frame = ask(table, 1)
    say(table, label(frame, made_by="model"))
    assert (waiting(table), table.counted()) == ([frame], 0)
    say(table, label(frame))
    say(table, label(frame, made_by="model"))
    assert (waiting(table), table.counted()) == ([], 1)
