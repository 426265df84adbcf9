import threading
from contextlib import closing
from pathlib import Path

import pytest

from maskwatch.errors import SourceError
from maskwatch.messages import Camera
from maskwatch.settings import CaptureSettings, Settings
from producers import wishing
from producers.logins import Logins, sealed
from producers.wishes import Wish, from_source
from tests.support.rtsp import PASSWORD, USER, rtsp_camera

WAIT = threading.Event().wait


def test_a_wish_holds_no_password_and_is_opened_with_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with rtsp_camera(locked=True) as camera:
        whole = camera.address().replace("rtsp://", "rtsp://viewer:p%40ss%3Aw%2Frd@")
        wish = from_source(whole, {"id": "door"}, tmp_path, lambda source: sealed(settings, source))
        assert wish.source == camera.address()
        assert PASSWORD not in repr(wish)
        assert USER not in repr(wish)
        with closing(Logins(settings, ["door"]).open(wish, WAIT)) as source:
            assert source.read() is not None
        plain = Camera(id="door", source=camera.address())
        with (
            closing(Logins(settings, ["door"]).open(plain, WAIT)) as source,
            pytest.raises(SourceError, match="refuses"),
        ):
            source.read()


def test_a_host_that_others_have_named_is_looked_at_first(tmp_path: Path) -> None:
    wish = Camera(id="door", source="rtsp://127.0.0.1:1/x")
    with pytest.raises(SourceError, match="may not name"):
        Logins(Settings(data_dir=tmp_path)).open(wish, WAIT)
    allowed = Settings(data_dir=tmp_path, capture=CaptureSettings(allowed_networks=("127.0.0.0/8",)))
    Logins(allowed).open(wish, WAIT).close()


def test_a_password_of_another_key_is_said_without_it(tmp_path: Path) -> None:
    one, other = (Settings(data_dir=tmp_path / name) for name in ("one", "other"))
    source, login = sealed(one, "rtsp://u:secret@10.0.0.7/x")
    with pytest.raises(SourceError, match="sealed with another key") as error:
        Logins(other, ["door"]).open(Camera(id="door", source=source, login=login), WAIT)
    assert "secret" not in str(error.value)


def test_a_changed_address_keeps_its_password_only_on_the_way_to_the_same_place(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    before = wishing.new(settings, "rtsp://u:secret@10.0.0.7/1", {"id": "door"}, {})
    wishes = {"door": Wish(before)}

    def login_after(**changes: object) -> str:
        return wishing.changed(settings, "door", changes, wishes).login

    hidden = wishing.new(settings, "http://10.0.0.7/video?pwd=secret", {"id": "gate"}, {})
    assert (hidden.source, hidden.login != "") == ("http://10.0.0.7", True)

    def gate_after(**changes: object) -> Camera:
        return wishing.changed(settings, "gate", changes, {"gate": Wish(hidden)})

    assert gate_after(rate=2).login == hidden.login
    # The login holds the path: it must not win over a new one.
    assert gate_after(source="http://10.0.0.7/other").login == ""
    assert login_after(rate=2) == login_after(source="rtsp://10.0.0.7/2") == before.login != ""
    for other in ("rtsp://10.0.0.8/1", "rtsp://10.0.0.7:5540/1", "http://10.0.0.7/1", "webcam:0"):
        assert login_after(source=other) == ""
    new = wishing.changed(settings, "door", {"source": "rtsp://u:other@10.0.0.7/1"}, wishes)
    assert new.login not in {"", before.login}
    assert new.source == before.source
