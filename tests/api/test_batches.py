import io
import zipfile

import pytest

from api.batches import items
from api.bodies import SentFile
from api.problems import BAD_ARCHIVE, TOO_LARGE, Kind, ProblemError
from maskwatch.settings import ApiSettings, Settings

LIMITS = Settings(api=ApiSettings(max_batch_files=4, max_upload_bytes=1000, max_batch_bytes=3000))


def packed(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return file.getvalue()


def refused(*files: SentFile) -> Kind:
    def read() -> list[bytes]:
        return [item.read() for item in items(files, LIMITS)]

    with pytest.raises(ProblemError) as problem:
        read()
    return problem.value.kind


def test_files_and_archives_become_one_list_in_order() -> None:
    archive = packed(("b/", b""), ("b/2.jpg", b"two"), ("__MACOSX/b/2.jpg", b"x"), ("3.jpg", b"three"))
    found = items([SentFile("1.jpg", b"one"), SentFile("more.zip", archive)], LIMITS)
    assert [(item.place, item.name, item.read()) for item in found] == [
        (0, "1.jpg", b"one"),
        (1, "b/2.jpg", b"two"),
        (2, "3.jpg", b"three"),
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_file_in_an_archive_is_refused(method: int) -> None:
    archive = bytearray(packed(("1.jpg", bytes(range(250)) * 3), method=method))
    for place in range(45, 70):
        archive[place] ^= 0xFF
    assert refused(SentFile("a.zip", bytes(archive))) is BAD_ARCHIVE


def test_archives_are_unpacked_no_further_than_the_limits() -> None:
    assert refused(SentFile("a.zip", packed(("1.jpg", bytes(1001))))) is TOO_LARGE
    assert refused(SentFile("a.zip", packed(*((f"{n}.jpg", b"x") for n in range(5))))) is TOO_LARGE
    assert refused(SentFile("a.zip", packed(*((f"{n}.jpg", bytes(900)) for n in range(4))))) is TOO_LARGE
    assert refused(*(SentFile(f"{n}.jpg", b"x") for n in range(5))) is TOO_LARGE
    # The table lies: it says one byte, and there are many.
    archive = bytearray(packed(("1.jpg", bytes(2000))))
    entry = archive.index(b"PK\x01\x02")
    archive[entry + 24 : entry + 28] = (1).to_bytes(4, "little")
    assert refused(SentFile("a.zip", bytes(archive))) is BAD_ARCHIVE


def test_what_is_no_archive_is_refused() -> None:
    assert refused(SentFile("a.zip", packed(("1.jpg", b"one"))[:30])) is BAD_ARCHIVE
    locked = bytearray(packed(("1.jpg", b"one")))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + flags] |= 1
    assert refused(SentFile("a.zip", bytes(locked))) is BAD_ARCHIVE
