from producers.rewriting import Rewriter
from tests.support.recordings import frame


def test_two_recorded_sessions_of_a_camera_stay_two() -> None:
    rewriter = Rewriter({})
    found = [dict(rewriter.headers(frame("door", 0, session=session)))["ce_id"] for session in ("one", "two", "one")]
    assert found[0] == found[2] != found[1]
