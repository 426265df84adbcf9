import msgspec
import pytest

from maskwatch.drift_messages import Episode
from maskwatch.settings import Settings
from processors import monitors
from processors.monitors import CameraKept, Monitors
from tests.processors.test_monitor import QUICK
from tests.support.seen import Seen, World

TREE = Settings().model_copy(update={"drift": QUICK})
DARK = World(light=0.3)


def take(watching: Monitors, door: Seen, count: int, world: World = World()) -> list[Episode]:  # noqa: B008  # frozen
    return [
        record
        for one in door.many(count, world)
        for record in watching.take(one, 3, 0.0).records
        if isinstance(record, Episode)
    ]


def test_whoever_follows_a_killed_one_goes_on_and_tells_of_what_is_open() -> None:
    kept: dict[bytes, bytes] = {}
    door = Seen()
    first = Monitors(TREE, kept)
    take(first, door, 100)
    (start, *_) = take(first, door, 40, DARK)
    told = take(Monitors(TREE, kept), door, 20, DARK)
    # It may not have been told before.
    assert (told[0].id, told[0].phase) == (start.id, "update")
    assert {episode.id for episode in told} == {start.id}


def test_what_is_handed_over_is_all_that_is_known() -> None:
    kept: dict[bytes, bytes] = {}
    watching, door = Monitors(TREE, kept), Seen()
    take(watching, door, 95)
    assert list(watching.let_go({4})) == []
    ((name, state),) = watching.let_go({3})
    assert (name, len(watching)) == ("door", 0)
    assert msgspec.json.decode(state, type=CameraKept).monitor.sampled == 95


def test_what_was_kept_by_another_version_is_learned_anew() -> None:
    watching = Monitors(TREE, {b"door": b'{"monitor": 1}', b"door/12": b"?"})
    assert take(watching, Seen(), 100) == []
    assert len(watching) == 1


def test_what_was_kept_when_there_were_fewer_signals_is_learned_anew(capsys: pytest.CaptureFixture[str]) -> None:
    kept: dict[bytes, bytes] = {}
    door = Seen()
    take(Monitors(TREE, kept), door, 100)
    state = msgspec.json.decode(kept[b"door"])
    state["monitor"]["recent"] = [row[1:] for row in state["monitor"]["recent"]]
    kept[b"door"] = msgspec.json.encode(state)
    assert take(Monitors(TREE, kept), door, 20, DARK) == []
    assert "an earlier version kept them" in capsys.readouterr().out


def test_hours_are_kept_one_by_one() -> None:
    kept: dict[bytes, bytes] = {}
    watching, door = Monitors(TREE, kept), Seen(step_s=4)
    take(watching, door, 1000)
    assert set(kept) == {b"door", b"door/12"}
    again = Monitors(TREE, kept)
    take(again, door, 5)
    assert again._cameras["door"].monitor.hours.knows(12)
    # A model that is new makes all of it void.
    other = [
        msgspec.structs.replace(one, model=msgspec.structs.replace(one.model, sha256="x")) for one in door.many(40)
    ]
    for one in other:
        again.take(one, 3, 0.0)
    assert set(kept) == {b"door"}


def test_a_silent_camera_is_let_go_of_and_comes_back_as_it_was() -> None:
    kept: dict[bytes, bytes] = {}
    watching, door, yard = Monitors(TREE, kept), Seen(), Seen("yard")
    take(watching, door, 100)
    watching.take(yard.one(), 3, monitors.SILENT_S + 1.0)
    assert len(watching) == 1
    assert take(watching, door, 60, DARK)[0].phase == "start"


def test_another_frame_is_chosen_for_one_that_was_gone() -> None:
    tree = TREE.model_copy(update={"sampling": TREE.sampling.model_copy(update={"per_day": 1, "random_share": 1.0})})
    watching, door = Monitors(tree, {}), Seen()

    def asked() -> int:
        return sum(watching.take(one, 3, 0.0).request is not None for one in door.many(20))

    assert [asked(), asked()] == [1, 0]
    watching.choose_another("door")
    watching.choose_another("nobody")
    assert asked() == 1
