import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from maskwatch.logs import Outages, configure
from maskwatch.settings import LogSettings


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    handlers = list(logging.getLogger().handlers)
    aiokafka = logging.getLogger("aiokafka")
    before = aiokafka.level, aiokafka.propagate, aiokafka.handlers
    yield
    aiokafka.level, aiokafka.propagate, aiokafka.handlers = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    for handler in set(logging.getLogger().handlers) - set(handlers):
        logging.getLogger().removeHandler(handler)


def test_elsewhere_than_on_a_terminal_a_log_line_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(), "detector")
    structlog.get_logger().info("frame refused", offset=7)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["offset"], line["stage"], line["level"]) == ("frame refused", 7, "detector", "info")


def test_text_has_no_colour_when_it_is_piped(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="text"), "live")
    structlog.get_logger().warning("late", skipped=3)
    line = capsys.readouterr().err
    assert "late" in line
    assert "skipped=3" in line
    assert "\x1b[" not in line


def test_a_crash_shows_where_it_was_and_no_local_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="text"), "live")
    password = "".join(reversed("2retnuh"))
    try:
        1 / password.count("x")
    except ZeroDivisionError:
        structlog.get_logger().exception("stage crashed")
    told = capsys.readouterr().err
    assert 'password.count("x")' in told
    assert password not in told


def test_lower_levels_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(level="warning"), "live")
    structlog.get_logger().info("not written")
    assert capsys.readouterr().err == ""


def test_a_broker_that_is_away_is_told_of_once_and_nothing_else_of_what_the_client_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure(LogSettings(), "live")
    for _ in range(100):
        logging.getLogger("aiokafka").error("Unable connect to node with id %s: %s", 1, OSError("refused"))
        logging.getLogger("aiokafka").error("Unable to update metadata from %s", [1])
        logging.getLogger("aiokafka.consumer.fetcher").error("Failed fetch messages from %s", 1)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["node"], line["error"]) == (
        "a broker of Kafka does not answer; trying again",
        1,
        "refused",
    )


def test_a_broker_that_stays_away_is_told_of_again(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(), "live")
    logging.getLogger("aiokafka").handlers = [Outages(interval_s=0)]
    for _ in range(3):
        logging.getLogger("aiokafka").error("Unable connect to node with id %s: %s", 1, OSError("refused"))
    assert len(capsys.readouterr().err.splitlines()) == 3
