from pathlib import Path

import cv2
import numpy as np
import pytest

from maskwatch.errors import PictureError
from maskwatch.fingerprint import NEAR_DUPLICATE_BITS, LookAlikes, fingerprint
from tests.support.labelling import jpeg
from training.datasets import duplicates


@pytest.mark.parametrize("size", [(320, 240), (97, 211), (31, 32)])
def test_it_is_the_hash_that_manifests_hold(tmp_path: Path, size: tuple[int, int]) -> None:
    for seed in range(20):
        file = tmp_path / f"{seed}.jpg"
        file.write_bytes(jpeg(seed, size))
        assert fingerprint(file.read_bytes()) == np.packbits(duplicates.fingerprint(file)).tobytes().hex()
    assert NEAR_DUPLICATE_BITS == duplicates.NEAR_DUPLICATE_BITS


def test_the_same_picture_saved_again_looks_alike_and_another_does_not() -> None:
    known = LookAlikes([fingerprint(jpeg(1))])
    pixels = cv2.imdecode(np.frombuffer(jpeg(1), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    again = cv2.imencode(".jpg", cv2.resize(pixels, (160, 120)), [cv2.IMWRITE_JPEG_QUALITY, 40])[1].tobytes()
    assert known.near(fingerprint(again))
    assert not any(known.near(fingerprint(jpeg(seed))) for seed in range(2, 60))


@pytest.mark.parametrize("data", [b"", b"no picture", jpeg(1)[:60]])
def test_what_is_no_picture_has_none(data: bytes) -> None:
    with pytest.raises(PictureError):
        fingerprint(data)
