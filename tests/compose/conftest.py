"""The installation that the tests of compose/ share."""

import os
from collections.abc import Iterator

import pytest

from tests.support.composed import Composed, engine_trouble


@pytest.fixture(scope="module")
def stack() -> Iterator[Composed]:
    """Return an installation on one machine, up; at the end nothing of it is left."""
    if trouble := engine_trouble():
        pytest.skip(f"{trouble}: compose needs one")
    stack = Composed(f"mw{os.getpid()}")
    try:
        stack.up("--build")
        yield stack
    finally:
        stack.down()
    assert stack.left() == []
