"""What people's labels say of the model: who is heard, when an episode is confirmed, and when it is not."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.drift_messages import Confirmation, Episode
from maskwatch.drift_settings import DriftSettings
from maskwatch.errors import MessageError
from maskwatch.label_messages import FrameLabel, Proposal
from maskwatch.messages import DetectedFace, MarkedFace
from maskwatch.settings import Settings
from processors.judging import Episodes
from processors.monitor import Monitor
from processors.quality import Judged, Labels, confirmation, judge, least_drop, quality
from tests.processors.test_monitor import DARK, QUICK, run
from tests.support.seen import MODEL, NOON, OTHER_MODEL, Seen

BOX = (0.1, 0.1, 0.3, 0.4)
DEFAULTS = DriftSettings()


def label(number: int = 1, *, right: bool = True, **changes: Any) -> FrameLabel:  # noqa: ANN401  # its fields
    known = FrameLabel(
        f"door:s1:{number}", "labelled", NOON, "ann",
        faces=(MarkedFace("with_mask" if right else "without_mask", BOX),), source="door",
        captured=NOON + timedelta(seconds=number),
        proposal=Proposal(MODEL, (DetectedFace("with_mask", 0.9, BOX),), "random"),
    )  # fmt: skip
    return msgspec.structs.replace(known, **changes)


def judged(number: int, value: float, model: str = MODEL.sha256) -> Judged:
    at = NOON + timedelta(minutes=number)
    return Judged("door", at, model, value, at)


def f1(mean: float, count: int, seed: int) -> list[float]:
    """Return agreement on so many frames, spread as on photographs of a few faces each."""
    return np.random.default_rng(seed).binomial(4, mean, count).astype(float).__truediv__(4).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "change",
    [
        {"state": "skipped"},
        {"state": "erased"},
        {"made_by": "model"},
        {"proposal": None},
        {"captured": None},
        {"faces": (), "proposal": Proposal(MODEL, (), "random")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_only_what_people_say_of_what_the_model_had_said_is_heard(change: dict[str, Any]) -> None:
    assert judge(label(**change)) is None
    assert judge(label()) == Judged("door", NOON + timedelta(seconds=1), MODEL.sha256, 1.0, NOON)
    assert judge(label(right=False)).agreement == 0.0  # type: ignore[union-attr]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["right", "wrong", "erased", "gone"])), max_size=30))
def test_the_newest_of_each_frame_counts_and_what_is_erased_leaves(told: list[tuple[int, str]]) -> None:
    labels, newest = Labels(), dict[int, str]()
    for number, what in told:
        before = labels.version("door")
        one = label(number, right=what == "right", state="erased" if what == "erased" else "labelled")
        changed = labels.take(one.frame, None if what == "gone" else msgspec.json.encode(one))
        was, newest[number] = newest.get(number), what
        differs = was != what and {was, what} - {None, "erased", "gone"} != set()
        assert (changed == "door", labels.version("door") != before) == (differs, differs)
    expected = [(n, float(what == "right")) for n, what in sorted(newest.items()) if what in {"right", "wrong"}]
    assert [((one.captured - NOON).seconds, one.agreement) for one in labels.of_camera("door")] == expected
    assert labels.of_others("yard") == labels.of_camera("door")
    assert labels.of_others("door") == []


def test_what_is_no_label_is_refused() -> None:
    with pytest.raises(MessageError):
        Labels().take("x", b"{}")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 60), st.integers(5, 60), st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_the_bound_lies_below_the_drop_and_less_certainty_raises_it(
    seed: int, count: int, more: int, first: float, second: float
) -> None:
    before, after = (np.array(f1(mean, size, seed)) for mean, size in ((first, count), (second, more)))
    assert least_drop(before, after, 0.99) <= least_drop(before, after, 0.9) <= before.mean() - after.mean() + 1e-9
    assert least_drop(before, before, 0.95) <= 0


def test_a_model_that_is_no_worse_is_hardly_ever_confirmed_though_it_is_asked_at_every_label() -> None:
    ever = sum(
        any(
            found.confirmed
            for count in range(30, 121, 6)
            if (found := confirmation(f1(0.8, 100, seed), f1(0.8, 120, seed + 1000)[:count], DEFAULTS))
        )
        for seed in range(40)
    )
    assert ever <= 1


def test_a_drop_of_a_fifth_is_confirmed_by_thirty_labels_more_often_than_not_and_by_sixty_nearly_always() -> None:
    def share(count: int) -> float:
        found = [confirmation(f1(0.8, 100, seed), f1(0.6, count, seed + 1000), DEFAULTS) for seed in range(100)]
        return sum(one is not None and one.confirmed for one in found) / len(found)

    assert share(30) >= 0.8
    assert share(60) >= 0.97


def test_too_few_labels_confirm_nothing_and_are_counted() -> None:
    assert confirmation([1.0] * 30, [], DEFAULTS) is None
    few = confirmation([1.0] * 30, [0.0] * 29, DEFAULTS)
    assert few is not None
    assert (few.labels, few.confirmed, few.text) == (29, False, "29 of 30 labels that can confirm it")
    alone = confirmation([1.0] * 29, [0.0] * 40, DEFAULTS)
    assert alone is not None
    assert (alone.confirmed, alone.text) == (
        False,
        "40 labels, and 29 of 30 from before that they could be held against",
    )
    same = confirmation([1.0, 0.5] * 20, [1.0, 0.5] * 20, DEFAULTS)
    assert same is not None
    assert same.text == "not confirmed by 40 labels: quality 0.75 → 0.75"


# Quality as a signal.


def test_quality_that_falls_is_told_keeps_its_reference_and_is_back_when_it_is() -> None:
    good = [judged(number, value) for number, value in enumerate(f1(0.85, 90, 1))]
    assert quality(good, DEFAULTS, None).shift is None
    bad = [*good, *(judged(90 + number, value) for number, value in enumerate(f1(0.4, 60, 2)))]
    shift = quality(bad, DEFAULTS, None).shift
    assert shift is not None
    assert (shift.kind, shift.since) == ("quality", bad[-30].captured)
    # Known since its beginning, what came since is in no reference.
    fallen = good[-1].captured
    later = quality(bad, DEFAULTS, fallen)
    assert len(later.reference) == 89
    assert later.shift is not None
    assert later.shift.since == fallen
    back = [*bad, *(judged(200 + number, value) for number, value in enumerate(f1(0.85, 30, 3)))]
    assert quality(back, DEFAULTS, fallen).shift is None


def test_labels_alone_begin_hardly_an_episode_while_nothing_changes() -> None:
    """Two weeks of a camera of which every frame that is asked for is labelled, 200 a day, looked at now and then."""
    values = f1(0.8, 3000, 5)
    all_of_them = [judged(number, value) for number, value in enumerate(values)]
    false = sum(
        quality(all_of_them[max(0, end - 330) : end], DEFAULTS, None).shift is not None
        for end in range(60, len(values), 10)
    )
    assert false == 0


def test_the_monitor_tells_of_quality_in_windows_and_as_an_episode_of_its_own() -> None:
    monitor, door = Monitor("door", QUICK.model_copy(update={"confirm_labels": 10})), Seen()
    run(monitor, door.many(100))
    good = [judged(number, 1.0)._replace(captured=door.at - timedelta(hours=1)) for number in range(20)]
    monitor.hear([*good, *(judged(30, 1.0, OTHER_MODEL.sha256),)])
    assert run(monitor, door.many(30)) == []
    window = next(r for one in door.many(30) for r in monitor.take(one).records if not isinstance(r, Episode))
    assert "agreement" not in window.signals  # told of once
    bad = [judged(40 + number, 0.0)._replace(captured=door.at) for number in range(10)]
    monitor.hear([*good, *bad])
    told = run(monitor, door.many(20))
    assert [(one.phase, one.kind) for one in told] == [("start", "quality")]
    assert "people's agreement fell from 1.00 to 0.00" in told[0].text
    # What it knows of that goes on with whoever follows it.
    again = Monitor("door", QUICK.model_copy(update={"confirm_labels": 10}), monitor.state())
    again.hear([*good, *bad, *(judged(60, 1.0)._replace(captured=door.at) for _ in range(10))])
    ended = run(again, door.many(20))
    assert [(one.id, one.phase, one.reason) for one in ended] == [(told[0].id, "end", "recovered")]


def test_windows_tell_of_labels_when_they_come() -> None:
    monitor, door = Monitor("door", QUICK), Seen()
    monitor.hear([judged(number, value) for number, value in enumerate((1.0, 0.5, 1.0))])
    told = [r for one in door.many(100) for r in monitor.take(one).records if not isinstance(r, Episode)]
    found = [window.signals["agreement"] for window in told if "agreement" in window.signals]
    assert [(one.now.samples, one.now.mean, one.reference, one.shifted) for one in found] == [(3, 0.8333, None, False)]


# Episodes and their labels.


class Said:
    """Records of episodes and labels, as they come."""

    def __init__(self) -> None:
        self.labels = Labels()
        self.episodes = Episodes(Settings(drift={"confirm_labels": 5}), self.labels)

    def episode(self, episode: Episode) -> None:
        self._take("drift.v1", "door", msgspec.json.encode(episode))

    def label(self, *labels: FrameLabel) -> None:
        for one in labels:
            self._take("labels.v1", one.frame, msgspec.json.encode(one))

    def told(self, monitor: Monitor | None = None, mine: int = 3) -> list[Episode]:
        def of_open(_: str, identity: str, said: Confirmation | None) -> Episode | None:
            return monitor.confirm(identity, said) if monitor else None

        return list(self.episodes.told_anew({mine}, of_open))

    def _take(self, topic: str, key: str, value: bytes) -> None:
        self.episodes.take(SimpleNamespace(topic=topic, key=key.encode(), value=value, partition=3))


def an_episode(camera: str = "door", **changes: object) -> Episode:
    hour = NOON + timedelta(hours=1)
    known = Episode("e1", camera, "input", "end", hour, hour, hour, MODEL, (), "darker", hour + timedelta(hours=1))
    return msgspec.structs.replace(known, **changes)


def of_the_hour(  # its fields, too
    hour: float,
    count: int,
    *,
    right: bool,
    camera: str = "door",
    **changes: Any,  # noqa: ANN401
) -> list[FrameLabel]:
    return [
        label(
            right=right, captured=NOON + timedelta(hours=hour, seconds=number), frame=f"{camera}:{hour}:{number}",
            source=camera, **changes,
        )
        for number in range(count)
    ]  # fmt: skip


def test_labels_that_come_after_the_end_confirm_an_episode_once() -> None:
    said = Said()
    said.episode(an_episode())
    said.label(*of_the_hour(0, 6, right=True), *of_the_hour(1.1, 4, right=False))
    (few,) = said.told()
    assert few.confirmation is not None
    assert (few.confirmation.labels, few.confirmation.confirmed, few.phase) == (4, False, "end")
    # Its own record comes back.
    said.episode(few)
    assert said.told() == []
    said.label(*of_the_hour(1.5, 2, right=False), *of_the_hour(2.5, 9, right=True))
    (enough,) = said.told()
    assert enough.confirmation is not None
    assert (enough.confirmation.labels, enough.confirmation.confirmed) == (6, True)
    assert said.told() == []


def test_another_model_another_camera_and_other_episodes_do_not_speak() -> None:
    said = Said()
    said.episode(an_episode())
    other = Proposal(OTHER_MODEL, (DetectedFace("with_mask", 0.9, BOX),), "random")
    said.label(*of_the_hour(1.1, 9, right=False, proposal=other), *of_the_hour(1.2, 9, right=False, camera="yard"))
    assert said.told() == []
    # Frames of an earlier episode are not what was usual; another camera's are, where there are too few of its own.
    said.episode(an_episode(id="e0", since=NOON, started=NOON, ended=NOON + timedelta(minutes=30)))
    said.label(*of_the_hour(0.1, 9, right=False), *of_the_hour(1.3, 9, right=False))
    (by_nothing,) = [one for one in said.told() if one.id == "e1"]
    assert by_nothing.confirmation is not None
    assert "9 labels, and 0 of 5 from before" in by_nothing.confirmation.text
    said.label(*of_the_hour(0.2, 9, right=True, camera="yard"), *of_the_hour(1.4, 1, right=False))
    (by_others,) = [one for one in said.told() if one.id == "e1"]
    assert by_others.confirmation is not None
    assert by_others.confirmation.confirmed


def test_an_open_episode_is_told_by_its_monitor_and_by_nobody_else() -> None:
    monitor, door = Monitor("door", QUICK), Seen()
    run(monitor, door.many(100))
    (start, *_) = run(monitor, door.many(40, DARK))
    said = Said()
    said.episode(start)
    light = of_the_hour(0.0, 6, right=True)
    dark = [label(100 + n, right=False, captured=start.since + timedelta(seconds=n)) for n in range(7)]
    said.label(*light, *dark)
    # Another process looks after it, and then this one, which does not know it yet: it is asked again.
    assert said.told(monitor, mine=4) == []
    assert said.told(None) == []
    (told,) = said.told(monitor)
    assert (told.phase, told.ended) == ("update", None)
    assert told.confirmation is not None
    assert told.confirmation.confirmed
    # What is told of it later keeps that.
    (*_, end) = run(monitor, door.many(60))
    assert (end.phase, end.confirmation) == ("end", told.confirmation)
