import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskwatch.messages import CLASSES
from training.datasets.split import SHARES, Burst, Part, Strata, held_out, newcomers_part, stratify

GROUPS = st.dictionaries(
    st.text("abcdef0123456789", min_size=4, max_size=8),
    st.dictionaries(st.tuples(st.sampled_from(["voc", "hires"]), st.sampled_from(CLASSES)), st.integers(1, 9)).map(
        Counter
    ),
    max_size=60,
)


@given(GROUPS)
@settings(max_examples=60)
def test_every_group_is_somewhere_and_the_order_does_not_matter(groups: dict[str, Strata]) -> None:
    parts = stratify(groups, SHARES)
    assert parts.keys() == groups.keys()
    assert stratify(dict(reversed(groups.items())), SHARES) == parts


def test_how_sums_are_rounded_does_not_depend_on_the_order() -> None:
    rng = random.Random(1)
    strata = [(source, label) for source in ("voc", "hires") for label in CLASSES]
    for _ in range(200):
        groups: dict[str, Strata] = {
            str(n): Counter({one: rng.randint(1, 9) for one in strata if rng.random() < 0.5}) for n in range(40)
        }
        assert stratify(dict(reversed(groups.items())), SHARES) == stratify(groups, SHARES)


def test_rare_classes_are_spread_as_exactly_as_they_can_be() -> None:
    groups: dict[str, Strata] = {f"rare-{n}": Counter({("voc", "mask_weared_incorrect"): 1}) for n in range(100)}
    groups |= {f"common-{n}": Counter({("voc", "with_mask"): n % 5 + 1}) for n in range(400)}
    groups |= {f"both-{n}": Counter({("voc", "with_mask"): 3, ("voc", "without_mask"): 1}) for n in range(50)}
    held: dict[str, Counter[Part]] = {label: Counter() for label in CLASSES}
    for name, part in stratify(groups, SHARES).items():
        for (_, label), count in groups[name].items():
            held[label][part] += count
    for counts in held.values():
        for part, share in SHARES.items():
            assert counts[part] == pytest.approx(counts.total() * share, abs=3)


def test_a_group_that_holds_nothing_is_trained_on() -> None:
    assert stratify({"empty": Counter()}, SHARES) == {"empty": "train"}


def test_newcomers_go_where_their_look_alikes_are_and_never_into_the_frozen_part() -> None:
    earlier: list[tuple[list[Part], Part]] = [
        (["train"], "train"),
        (["train", "val"], "val"),
        (["val", "holdout"], "holdout"),
        (["left out"], "left out"),
        (["holdout", "test"], "left out"),
    ]
    assert [newcomers_part(parts) for parts, _ in earlier] == [part for _, part in earlier]


def test_a_third_is_held_out() -> None:
    assert sum(held_out(f"group-{number}") for number in range(3000)) == pytest.approx(1000, abs=80)


def test_of_every_three_bursts_of_a_camera_one_is_held_out_and_not_always_the_same() -> None:
    rows = [[held_out(Burst("door", 3 * row + place)) for place in range(3)] for row in range(300)]
    assert {sum(row) for row in rows} == {1}
    places = Counter(row.index(True) for row in rows)
    assert all(count == pytest.approx(100, abs=30) for count in places.values())
