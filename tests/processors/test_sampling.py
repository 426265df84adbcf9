from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.drift_messages import LabelRequest
from maskwatch.drift_settings import SamplingSettings
from maskwatch.messages import DetectedFace, Detection
from processors.sampling import Chooser, ChooserState
from tests.support.seen import Seen, World

THRESHOLD = 0.4
RICH = SamplingSettings(per_day=86_400, random_share=0, drift_every_s=0)
"""A frame a second: the budget is no limit."""


def chosen(chooser: Chooser, detections: Iterable[Detection], episode: str | None = None) -> list[LabelRequest]:
    return [request for one in detections if (request := chooser.offer(one, episode)) is not None]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 300), st.floats(0, 1), st.floats(0, 1), st.integers(0, 10**6))
def test_no_day_gets_more_than_the_budget(per_day: int, random_share: float, drift_share: float, seed: int) -> None:
    plan = SamplingSettings(per_day=per_day, random_share=random_share, drift_share=drift_share)
    door = Seen(seed=seed, step_s=240)
    found = chosen(Chooser("door", plan, THRESHOLD), door.many(2 * 360), "an-episode")
    times = [request.frame.captured for request in found]
    for begin in times:
        assert sum(begin <= time < begin + timedelta(days=1) for time in times) <= per_day


def test_the_same_seed_chooses_the_same_and_another_another() -> None:
    def run(seed: int) -> list[str]:
        plan = SamplingSettings(per_day=20_000, random_share=0.5, seed=seed)
        return [request.frame.id for request in chosen(Chooser("door", plan, THRESHOLD), Seen().many(500))]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_share_is_chosen_by_chance() -> None:
    plan = SamplingSettings(per_day=86_400, random_share=0.3, drift_every_s=0)
    found = chosen(Chooser("door", plan, THRESHOLD), Seen().many(1200, World(score=0.5)), "e")
    reasons = Counter(request.why for request in found)
    assert reasons["random"] / reasons.total() == pytest.approx(0.3, abs=0.08)


def test_why_a_frame_was_chosen_is_said() -> None:
    def faces(*several: DetectedFace) -> list[Detection]:
        return [msgspec.structs.replace(one, objects=several) for one in Seen().many(1)]

    near = DetectedFace("with_mask", 0.48, (0.1, 0.1, 0.3, 0.3))
    sure = DetectedFace("with_mask", 0.9, (0.1, 0.1, 0.3, 0.3))
    rare = DetectedFace("mask_weared_incorrect", 0.9, (0.1, 0.1, 0.3, 0.3))
    (found,) = chosen(Chooser("door", RICH, THRESHOLD), faces(near))
    assert (found.why, found.text) == ("near-threshold", "score 0.48, near the threshold, door, 12:00 UTC")
    assert chosen(Chooser("door", RICH, THRESHOLD), faces(sure)) == []
    (found,) = chosen(Chooser("door", RICH, THRESHOLD), faces(sure), "e1")
    assert (found.why, found.episode) == ("drift", "e1")
    seen = ChooserState(faces={"with_mask": 150, "mask_weared_incorrect": 3})
    (found,) = chosen(Chooser("door", RICH, THRESHOLD, seen), faces(rare))
    assert found.text.startswith("mask weared incorrect is rare here")
    # Of too few faces nobody knows what is rare.
    assert chosen(Chooser("door", RICH, THRESHOLD), faces(rare)) == []


def test_what_looks_like_one_that_was_chosen_is_left_out() -> None:
    door = Seen()
    one = door.one(World(score=0.42))
    still = [msgspec.structs.replace(other, objects=one.objects) for other in door.many(20)]
    assert len(chosen(Chooser("door", RICH, THRESHOLD), [one, *still], "e")) == 1


def test_in_drift_frames_without_a_face_are_asked_about_for_the_model_may_be_blind() -> None:
    plan = SamplingSettings(random_share=0)
    door = Seen()
    empty = [msgspec.structs.replace(one, objects=()) for one in door.many(300)]
    signals = empty[0].signals
    empty = [msgspec.structs.replace(one, signals=signals) for one in empty]
    # Ten minutes: one a minute, though all of them look the same.
    assert len(chosen(Chooser("door", plan, THRESHOLD), empty, "e")) == 10
    assert len(chosen(Chooser("door", plan, THRESHOLD), empty)) == 0


def test_one_whose_picture_is_gone_is_replaced() -> None:
    plan = SamplingSettings(per_day=1, random_share=0)
    chooser, door = Chooser("door", plan, THRESHOLD), Seen()
    assert len(chosen(chooser, door.many(50), "e")) == 1
    chooser.give_back()
    # Looking for a picture costs more than choosing one: not the very next is looked for.
    assert chosen(chooser, door.many(4), "e") == []
    assert len(chosen(chooser, door.many(50), "e")) == 1


def test_a_restart_neither_forgets_what_was_spent_nor_what_was_chosen() -> None:
    plan = SamplingSettings(per_day=3, random_share=0, drift_share=0)
    door = Seen()
    first = Chooser("door", plan, THRESHOLD)
    assert len(chosen(first, door.many(200), "e")) == 1
    state = msgspec.json.decode(msgspec.json.encode(first.state()), type=ChooserState)
    assert chosen(Chooser("door", plan, THRESHOLD, state), door.many(200), "e") == []


def test_what_was_chosen_without_signals_can_be_read_back() -> None:
    blank = msgspec.structs.replace(Seen().one(), objects=(), signals=None)
    chooser = Chooser("door", RICH, THRESHOLD)
    assert len(chosen(chooser, [blank], "e")) == 1
    assert msgspec.json.decode(msgspec.json.encode(chooser.state()), type=ChooserState) == chooser.state()


def test_a_drift_gives_enough_to_learn_from_while_it_is_new_and_not_all_at_once() -> None:
    plan = SamplingSettings(random_share=0)
    chooser, door = Chooser("door", plan, THRESHOLD), Seen()
    usual = chosen(chooser, door.many(200, World(score=0.42)))
    assert len(usual) == 1
    times = [request.frame.captured for request in chosen(chooser, door.many(2000), "e")]
    assert 200 * 0.6 * 0.9 <= len(times) <= 200 * 0.6
    assert min(after - before for before, after in pairwise(times)) >= timedelta(seconds=10)
    # What was spent stays spent, and the next drift of the day finds little.
    state = msgspec.json.decode(msgspec.json.encode(chooser.state()), type=ChooserState)
    assert len(chosen(Chooser("door", plan, THRESHOLD, state), door.many(300), "another")) <= 1


def test_a_clock_that_jumps_gives_no_budget() -> None:
    plan = SamplingSettings(per_day=24, random_share=0, drift_share=0)
    chooser, door = Chooser("door", plan, THRESHOLD), Seen()
    assert len(chosen(chooser, door.many(100), "e")) == 1
    door.at += timedelta(days=400)
    assert len(chosen(chooser, door.many(100), "e")) == 1
    door.at -= timedelta(days=400)
    assert chosen(chooser, door.many(100), "e") == []
