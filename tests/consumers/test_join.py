"""The pure join: order of arrival, newest wins, bounds."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from consumers.join import Joined, Joiner, Limits
from tests.support.overlay import JPEG, at, detection, frame


def joiner(window_s: float = 3.0, per_camera: int = 60, total_bytes: int = 2**20, forget_s: float = 60.0) -> Joiner:
    return Joiner(Limits(window_s, per_camera, total_bytes, forget_s))


def show(join: Joiner, sequence: int, session: str = "s1", published: float | None = None) -> Joined | None:
    """Give a frame and then its detection."""
    info = frame(sequence, session=session)
    join.add_frame(info, JPEG, at(sequence / 10 if published is None else published), now=0)
    return join.add_detection(detection(info), now=0)


def test_a_frame_is_joined_with_the_detection_that_follows() -> None:
    join = joiner()
    assert join.add_frame(frame(3), JPEG, at(0.3), now=0) is None
    joined = join.add_detection(detection(frame(3)), now=0.1)
    assert joined is not None
    assert (joined.live.frame.id, joined.jpeg, joined.live.published) == ("door:s1:3", JPEG, at(0.3))
    assert joined.live.objects == detection(frame(3)).objects
    assert join.waiting_bytes == 0


def test_a_detection_may_come_before_its_frame() -> None:
    join = joiner()
    assert join.add_detection(detection(frame(3)), now=0) is None
    joined = join.add_frame(frame(3), JPEG, at(0.3), now=0.1)
    assert joined is not None
    assert joined.live.frame.id == "door:s1:3"


def test_a_detection_never_meets_another_frame() -> None:
    join = joiner()
    join.add_frame(frame(3, camera="door"), JPEG, at(0.3), now=0)
    join.add_frame(frame(3, camera="yard"), b"yard", at(0.3), now=0)
    assert join.add_detection(detection(frame(4, camera="door")), now=0) is None
    assert join.add_detection(detection(frame(3, session="s2")), now=0) is None
    joined = join.add_detection(detection(frame(3, camera="yard")), now=0)
    assert joined is not None
    assert joined.jpeg == b"yard"


def test_nothing_older_than_what_was_shown_is_given_out() -> None:
    join = joiner()
    for sequence in range(5):
        join.add_frame(frame(sequence), JPEG, at(sequence / 10), now=0)
    assert join.add_detection(detection(frame(3)), now=0) is not None
    assert join.add_detection(detection(frame(2)), now=0) is None
    assert join.add_frame(frame(1), JPEG, at(0.1), now=0) is None
    assert join.waiting_bytes == len(JPEG)  # frame 4 still waits
    assert join.unjoined == 4


def test_a_late_detection_of_an_old_session_does_not_go_back() -> None:
    join = joiner()
    join.add_frame(frame(90, session="old"), JPEG, at(9), now=0)
    assert show(join, 0, session="new", published=9.5) is not None
    assert join.add_detection(detection(frame(90, session="old")), now=0) is None
    assert show(join, 91, session="old", published=9.2) is None
    assert show(join, 1, session="new", published=9.6) is not None


def test_gaps_in_the_sequence_are_counted_within_a_session() -> None:
    join = joiner()
    shown = [show(join, sequence) for sequence in (10, 11, 14, 15)]
    assert [joined.live.dropped for joined in shown if joined] == [0, 0, 2, 2]
    begun = show(join, 0, session="s2", published=9)
    assert begun is not None
    assert begun.live.dropped == 0


def test_the_rate_is_that_of_the_last_seconds() -> None:
    join = joiner()
    rates = [joined.live.rate for sequence in range(100) if (joined := show(join, sequence))]
    assert rates[0] == 0.0
    assert rates[1] == 10.0
    slow = [show(join, 100 + n, published=10 + n) for n in range(10)]
    assert slow[-1] is not None
    assert slow[-1].live.rate == 1.0


def test_two_frames_of_one_instant_have_no_rate() -> None:
    join = joiner()
    show(join, 0, published=1)
    again = show(join, 1, published=1)
    assert again is not None
    assert again.live.rate == 0.0


def test_what_waits_too_long_is_given_up() -> None:
    join = joiner(window_s=3)
    join.add_frame(frame(1), JPEG, at(0.1), now=0)
    join.add_detection(detection(frame(2)), now=0)
    join.expire(now=2.9)
    assert join.waiting_bytes == len(JPEG)
    join.expire(now=3.1)
    assert (join.waiting_bytes, join.unjoined) == (0, 1)
    assert join.add_detection(detection(frame(1)), now=3.2) is None
    assert join.add_frame(frame(2), JPEG, at(0.2), now=3.2) is None


def test_one_camera_cannot_hold_more_than_its_share() -> None:
    join = joiner(per_camera=2)
    for sequence in range(4):
        join.add_frame(frame(sequence), JPEG, at(sequence), now=sequence)
        join.add_detection(detection(frame(100 + sequence)), now=sequence)
    assert (join.waiting_bytes, join.unjoined) == (2 * len(JPEG), 2)
    assert join.add_frame(frame(101), JPEG, at(101), now=9) is None
    assert join.add_frame(frame(103), JPEG, at(103), now=9) is not None


def test_all_cameras_together_hold_no_more_than_the_byte_cap() -> None:
    join = joiner(total_bytes=2 * len(JPEG))
    join.add_frame(frame(1, camera="first"), JPEG, at(0), now=0)
    join.add_frame(frame(1, camera="second"), JPEG, at(0), now=1)
    join.add_frame(frame(1, camera="third"), JPEG, at(0), now=2)
    assert join.waiting_bytes == 2 * len(JPEG)
    assert join.add_detection(detection(frame(1, camera="first")), now=2) is None
    assert join.add_detection(detection(frame(1, camera="second")), now=2) is not None


def test_a_frame_that_comes_twice_waits_once() -> None:
    join = joiner()
    join.add_frame(frame(1), JPEG, at(0.1), now=0)
    join.add_frame(frame(1), JPEG, at(0.2), now=0)
    assert join.waiting_bytes == len(JPEG)


def test_a_camera_that_is_gone_begins_anew() -> None:
    join = joiner(forget_s=60)
    assert show(join, 50) is not None
    join.expire(now=59)
    assert show(join, 49) is None
    join.expire(now=61)
    assert show(join, 0) is not None


Step = tuple[str, str, str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["frame", "detection", "expire"]),
        st.sampled_from(["door", "yard"]),
        st.sampled_from(["s1", "s2"]),
        st.integers(0, 20),
    ),
    max_size=120,
)


@given(steps)
def test_whatever_comes_bounds_hold_and_pictures_never_go_back(script: Sequence[Step]) -> None:
    limits = Limits(window_s=10, per_camera=4, total_bytes=60, forget_s=1000)
    join = Joiner(limits)
    last: dict[str, tuple[str, int, float]] = {}
    taken = given_out = 0
    for now, (what, camera, session, sequence) in enumerate(script):
        info = frame(sequence, camera, session)
        jpeg = f"{info.id}".encode()
        joined: Joined | None = None
        if what == "frame":
            taken += 1
            joined = join.add_frame(info, jpeg, at(now), now)
        elif what == "detection":
            joined = join.add_detection(detection(info), now)
        else:
            join.expire(now)
        assert 0 <= join.waiting_bytes <= limits.total_bytes
        if joined is not None:
            given_out += 1
            assert joined.jpeg.decode() == joined.live.frame.id
            shown = joined.live.frame
            before = last.get(shown.camera)
            published = joined.live.published.timestamp()
            if before is not None and before[0] == shown.session:
                assert shown.sequence > before[1]
            elif before is not None:
                assert published > before[2]
            last[shown.camera] = (shown.session, shown.sequence, published)
    join.expire(len(script) + 1000)
    assert join.waiting_bytes == 0
    assert given_out + join.unjoined <= taken
