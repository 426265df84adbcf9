"""Faults with a bound and a figure each.

A test gives what it measured to the fixture ``figure``, which holds it against the bound that is promised. With
``--figures FILE`` the figures are written there as JSON for `docs/faults.md` (`make faults`). What takes longer than
half a minute is marked ``long`` and left out of `make test`, which runs a shorter form of the same fault; that of a
full disk is in tests/maskwatch/embedded/test_supervisor.py, that of a slow line in tests/api/routers/test_live.py.
"""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from maskwatch.settings import Settings
from tests.support.stack import CreateTopics, Kafka
from tests.support.workers import TOPICS

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pytest.StashKey[list[dict[str, object]]]()

Figure = Callable[..., None]
"""``figure("taken over after", 10.8, "s", most=15)``: name, value, unit, and the bound that it must keep."""

Prepare = Callable[..., Awaitable[Settings]]
"""``await prepare(detector={"instance": "one"})``: settings of this test's own, and a detector's topics."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    chosen: Path | None = session.config.getoption("--figures")
    if chosen is not None:
        chosen.parent.mkdir(parents=True, exist_ok=True)
        chosen.write_text(json.dumps(session.config.stash.get(ROWS, []), indent=1, ensure_ascii=False) + "\n")


@pytest.fixture
def prepare(kafka: Kafka, create_topics: CreateTopics) -> Prepare:
    """Make settings of this test's own, and topics for a detector."""

    async def make(**groups: dict[str, object]) -> Settings:
        settings = kafka.settings(**groups)
        await create_topics(settings, *TOPICS)
        return settings

    return make


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Iterator[Figure]:
    """Note what was measured, and fail if it breaks its bound."""
    broken: list[str] = []

    def note(name: str, value: float, unit: str = "", *, most: float | None = None, least: float | None = None) -> None:
        # No hook makes the list: a whole run comes to know this file only when it collects, after the session's start.
        request.config.stash.setdefault(ROWS, []).append(
            {
                "test": request.node.nodeid.partition("::")[2],
                "name": name,
                "value": round(value, 3),
                "unit": unit,
                "most": most,
                "least": least,
                "long": request.node.get_closest_marker("long") is not None,
            }
        )
        if (most is not None and value > most) or (least is not None and value < least):
            bound = f"≤{most:g}" if most is not None else f"≥{least:g}"
            broken.append(f"{name}: {value:.3f} {unit}, promised {bound} {unit}")

    yield note
    assert not broken, "; ".join(broken)
