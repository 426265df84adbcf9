import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from maskwatch.embedded import jars
from maskwatch.embedded.jars import Jar
from maskwatch.errors import StackError

GOOD = b"the jar that we know" * 1000
PLACE = "org/apache/kafka/kafka_2.13/4.2.0/kafka_2.13-4.2.0.jar"
OTHER = "org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar"
WANTED = tuple(Jar(hashlib.sha256(GOOD).hexdigest(), len(GOOD), place) for place in (PLACE, OTHER))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    root = tmp_path / "mirror"
    for place in (PLACE, OTHER):
        (root / place).parent.mkdir(parents=True)
        (root / place).write_bytes(GOOD)
    return root


@pytest.fixture
def url(mirror: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=mirror)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_list_names_one_kafka() -> None:
    names = [jar.name for jar in jars.known()]
    assert len(names) == len(set(names)) == 46
    assert f"kafka_2.13-{jars.KAFKA_VERSION}.jar" in names
    assert 40e6 < sum(jar.bytes for jar in jars.known()) < 50e6


def test_what_lacks_is_fetched_checked_and_not_fetched_again(tmp_path: Path, url: str) -> None:
    folder = tmp_path / "jars"
    counted: list[int] = []
    jars.fetch(folder, counted.append, WANTED, url)
    assert sum(counted) == 2 * len(GOOD)
    assert [path.name for path in jars.check(folder, WANTED)] == ["kafka_2.13-4.2.0.jar", "slf4j-api-1.7.36.jar"]
    assert jars.missing(folder, WANTED) == []
    counted.clear()
    jars.fetch(folder, counted.append, WANTED, url)
    assert counted == []
    assert sorted(path.name for path in folder.iterdir()) == ["kafka_2.13-4.2.0.jar", "slf4j-api-1.7.36.jar"]


def test_a_jar_altered_on_the_way_is_not_kept(tmp_path: Path, mirror: Path, url: str) -> None:
    (mirror / OTHER).write_bytes(GOOD + b"!")
    with pytest.raises(StackError, match=r"slf4j-api-1\.7\.36\.jar came with SHA-256 .* altered on the way"):
        jars.fetch(tmp_path / "jars", lambda _: None, WANTED, url)
    assert [jar.place for jar in jars.missing(tmp_path / "jars", WANTED)] == [OTHER]


@pytest.mark.parametrize("present", [True, False])
def test_what_cannot_be_fetched_says_what_to_do(tmp_path: Path, mirror: Path, url: str, *, present: bool) -> None:
    (mirror / OTHER).unlink()
    where = url if present else "http://127.0.0.1:9"
    with pytest.raises(StackError, match=r"cannot be fetched.*MASKWATCH_KAFKA__JARS=.*BOOTSTRAP_SERVERS"):
        jars.fetch(tmp_path / "jars", lambda _: None, WANTED, where)


def test_a_fetch_can_be_stopped(tmp_path: Path, url: str) -> None:
    def stop(_: int) -> None:
        raise StackError("stopped")

    with pytest.raises(StackError, match="stopped"):
        jars.fetch(tmp_path / "jars", stop, WANTED, url)
    assert list((tmp_path / "jars").iterdir()) == []


def test_altered_missing_and_extra_jars_are_refused_by_name(tmp_path: Path) -> None:
    for jar in WANTED:
        (tmp_path / jar.name).write_bytes(GOOD)
    stranger = tmp_path / "log4shell.jar"
    stranger.write_bytes(b"")
    with pytest.raises(StackError, match=r"log4shell\.jar is not one of Kafka 4\.2\.0's jars"):
        jars.check(tmp_path, WANTED)
    stranger.unlink()
    (tmp_path / "slf4j-api-1.7.36.jar").write_bytes(b"x" + GOOD[1:])
    with pytest.raises(StackError, match=r"slf4j-api-1\.7\.36\.jar is not the file that we know"):
        jars.check(tmp_path, WANTED)
    (tmp_path / "slf4j-api-1.7.36.jar").unlink()
    with pytest.raises(StackError, match=r"slf4j-api-1\.7\.36\.jar is missing"):
        jars.check(tmp_path, WANTED)


def test_a_named_folder_must_hold_a_kafka(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"kafka\.jars: no Kafka in"):
        jars.named(tmp_path)
    for name in ("kafka_2.13-3.9.0.jar", "log4j-core.jar"):
        (tmp_path / name).touch()
    assert [path.name for path in jars.named(tmp_path)] == ["kafka_2.13-3.9.0.jar", "log4j-core.jar"]
