from datetime import UTC, datetime
from pathlib import Path

import pytest

from maskwatch.errors import MessageError, SettingsError
from maskwatch.messages import Camera, encode
from producers.wishes import DEMO, Wish, camera_id, from_source, read_file, read_wish, wanted, write_wish

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "Front Door (2).mp4").touch()
    return tmp_path


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "cameras.toml"
    file.write_text(text)
    return file


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_file(written(tmp_path, text))
    return str(caught.value)


def test_a_source_becomes_a_camera_with_a_name_and_an_absolute_path(clips: Path) -> None:
    camera = from_source("clips/Front Door (2).mp4", {"rate": 5, "loop": False}, clips)
    assert camera == Camera(id="front-door-2", source=str(clips / "clips" / "Front Door (2).mp4"), rate=5, loop=False)
    assert from_source("clips", {"id": "hall"}, clips).id == "hall"
    assert from_source("webcam:1", {}, clips) == Camera(id="webcam-1", source="webcam:1")
    assert from_source("scene", {"cast": "clips"}, clips) == Camera(
        id="demo", source="scene", cast=str(clips / "clips")
    )


def test_a_name_is_made_of_what_an_id_may_hold(tmp_path: Path) -> None:
    assert camera_id("Étage 3/Câmera_Überwachung.MP4") == "camera-uberwachung"
    assert camera_id("監視.mp4") == "camera"
    assert len(camera_id("x" * 200)) == 63
    (tmp_path / "day.one").mkdir()
    assert camera_id(str(tmp_path / "day.one")) == "day-one"


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("scene", {"id": "Front Door"}, "camera id 'Front Door': only a-z, 0-9 and hyphens"),
        ("scene", {"id": 3}, "camera id 3"),
        ("scene", {"rate": 0}, r"camera «demo»: rate: Expected `float` > 0"),
        ("scene", {"rate": 61.0}, "rate"),
        ("scene", {"cast": 3}, "cast: Expected `str | null`, got `int`"),
        ("scene", {"cast": "nowhere"}, "cast: there is no folder at .*nowhere"),
        ("scene", {"zones": [[0.5, 0, 0.4, 1]]}, r"zone \[0.5, 0.0, 0.4, 1.0\] is no \[x1, y1, x2, y2\] in 0..1"),
        ("scene", {"zones": [[0, 0, 100, 100]]}, "zone"),
        ("door.mp4", {}, r"camera «door»: there is no clip or folder at .*door\.mp4"),
        ("~nobody-of-this-name/a.mp4", {}, "there is no clip or folder"),
        ("ftp://u:p@h/", {}, "ftp:// is not read"),
        ("rtsp://u:p@h/", {}, "nothing is there to seal its password with"),
        ("webcam:x", {}, "source «webcam:x» is not known"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, source: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        from_source(source, options, tmp_path)


def test_a_file_of_cameras(clips: Path) -> None:
    file = written(
        clips,
        """
        [[camera]]
        id = "door-2"
        source = "clips/Front Door (2).mp4"
        name = "Front door"
        rate = 5
        zones = [[0, 0, 0.5, 1]]
        record_rate = 0

        [[camera]]
        source = "webcam:0"
        """,
    )
    assert read_file(file) == [
        Camera(
            id="door-2",
            source=str(clips / "clips" / "Front Door (2).mp4"),
            name="Front door",
            rate=5,
            zones=((0, 0, 0.5, 1),),
            record_rate=0,
        ),
        Camera(id="webcam-0", source="webcam:0"),
    ]


def test_an_unknown_key_is_refused_with_the_nearest_known_name(tmp_path: Path) -> None:
    where = f"{tmp_path}/cameras.toml"
    assert refused(tmp_path, '[[camera]]\nsource = "scene"\nqualty = 3') == (
        f"{where}, camera 1: unknown key qualty; did you mean quality?"
    )
    assert refused(tmp_path, '[[cameras]]\nsource = "scene"') == f"{where}: unknown key cameras; did you mean camera?"
    assert "known are id, source, name" in refused(tmp_path, '[[camera]]\nsource = "scene"\nxyz = 3')


def test_errors_of_a_file_name_the_file_the_camera_and_the_problem(tmp_path: Path) -> None:
    two = '[[camera]]\nsource = "scene"\n'
    assert refused(tmp_path, two + two).endswith("cameras.toml: cameras 1 and 2 have one id, «demo»; give each its own")
    assert "camera 2: camera «b»: rate: Expected" in refused(tmp_path, two + two + 'id = "b"\nrate = "fast"')
    assert 'camera 1: source is missing, such as source = "webcam:0"' in refused(tmp_path, "[[camera]]\n")
    assert "begins with the line [[camera]], in two pairs" in refused(tmp_path, '[camera]\nsource = "scene"')
    assert "two pairs" in refused(tmp_path, "camera = [1]")
    assert "names no camera" in refused(tmp_path, "")
    assert "is not TOML" in refused(tmp_path, "[[camera]")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cameras\.toml cannot be read: No such file"):
        read_file(tmp_path / "cameras.toml")


def test_a_wish_survives_the_topic() -> None:
    for wish in (Wish(DEMO), Wish(DEMO, "a1b2")):
        value, headers = write_wish(wish, "/capture/a1b2", NOW)
        assert read_wish(b"demo", value, headers) == ("demo", wish)
    assert read_wish(b"demo", None, []) == ("demo", None)


def test_what_is_no_wish_is_refused() -> None:
    value, headers = write_wish(Wish(DEMO), "/test", NOW)
    with pytest.raises(MessageError, match="the key 'door' is not the id of the camera, 'demo'"):
        read_wish(b"door", value, headers)
    with pytest.raises(MessageError, match="not a Camera"):
        read_wish(b"demo", b"{", headers)
    with pytest.raises(MessageError):
        read_wish(None, encode(DEMO, kind="x", source="/x", id="x", time=NOW)[0], [])


def test_a_wish_for_one_process_is_nobody_else_s() -> None:
    everyone, mine, another = (Camera(id=name, source="scene") for name in ("everyone", "mine", "another"))
    wishes = {"everyone": Wish(everyone), "mine": Wish(mine, "me"), "another": Wish(another, "you")}
    assert wanted(wishes, "me", others=True) == {"everyone": everyone, "mine": mine}
    assert wanted(wishes, "me", others=False) == {"mine": mine}
