from pathlib import Path
from typing import Any

import pytest

from maskwatch.errors import SettingsError
from maskwatch.recording.contents import Contents
from maskwatch.recording.format import Recorded
from maskwatch.topics import Name
from producers.replay_plan import order, plan
from tests.support.recordings import frame


def contents(*found: Recorded) -> Contents:
    counted = Contents()
    for one in found:
        counted.count(one)
    return counted


BOTH = contents(frame("door"), frame("hall"), frame("Odd"), frame("door", topic="frames.recording.v1"))


def test_what_is_replayed_follows_from_what_is_in_the_file() -> None:
    asked = order(Path("a.mcap"))
    assert plan(asked, BOTH) == ({"frames.live.v1": Name.FRAMES_LIVE}, {"door": 1, "hall": 1}, 3)
    copies = contents(frame("door", topic="frames.recording.v1"))
    assert plan(asked, copies).into == {"frames.recording.v1": Name.FRAMES_LIVE}
    named = order(Path("a.mcap"), ["frames.recording.v1"])
    assert plan(named, BOTH) == ({"frames.recording.v1": Name.FRAMES_RECORDING}, {}, 1)
    one = order(Path("a.mcap"), cameras=["door"], renamed=["door=gate"])
    assert plan(one, BOTH) == ({"frames.live.v1": Name.FRAMES_LIVE}, {"gate": 1}, 1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"names": ["detections.v1"]}, r"a.mcap has no detections.v1; it holds frames.live.v1 \(3\), frames.rec"),
        ({"cameras": ["gate"]}, "a.mcap has no camera «gate»; it has Odd, door, hall"),
        ({"renamed": ["gate=door"]}, "a.mcap has no camera «gate»"),
        ({"renamed": ["door=hall"]}, "two cameras would be replayed as «hall»; give each its own id with --rename"),
        ({"renamed": ["door"]}, "--rename door: give two camera ids"),
        ({"renamed": ["door=Hall"]}, "--rename door=Hall: give two camera ids"),
        ({"renamed": ["door=gate"], "as_recorded": True}, "--rename changes ids, --as-recorded keeps them"),
        ({"renamed": ["door=gate"], "names": ["detections.v1"]}, "leave out --topic detections.v1"),
        ({"speed": 2.0, "fast": True}, "give --speed or --fast, not both"),
        ({"names": ["frames.life.v1"]}, "there is no topic frames.life.v1; did you mean frames.live.v1"),
    ],
)
def test_wishes_that_do_not_fit_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        plan(order(Path("a.mcap"), options.pop("names", ()), **options), BOTH)


def test_a_file_without_frames_says_what_it_holds() -> None:
    with pytest.raises(SettingsError, match=r"a\.mcap has no frames; it holds nothing"):
        plan(order(Path("a.mcap")), Contents())
