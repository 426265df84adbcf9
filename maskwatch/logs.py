"""Logs: structlog, one event a line, text on a terminal and JSON elsewhere.

Events are constant text and everything that varies is a field, so that a log can be searched by event. Pictures and
secrets never become fields.
"""

import logging
import os
import sys
import time

import structlog

from maskwatch.settings import LogSettings

OUTAGE_INTERVAL_S = 30.0
"""While a broker is away, a process says so this often."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(settings: LogSettings, stage: str) -> None:
    """Set the logs of this process up; every line names the stage.

    Parameters
    ----------
    settings
        Level and format.
    stage
        Name of the stage that runs in this process.
    """
    text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=not text),
    ]
    rendering: list[structlog.typing.Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ,
                # Where Rich is installed the default shows the locals of every frame, secrets among them.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(stage=stage)
    # Libraries log through the standard module. aiokafka raises what matters, which is logged where it is met; of what
    # it says besides, only one thing is worth knowing.
    logging.basicConfig(level=logging.WARNING, format=f"%(levelname)s {stage} %(name)s %(message)s", stream=sys.stderr)
    aiokafka = logging.getLogger("aiokafka")
    aiokafka.setLevel(logging.ERROR)
    aiokafka.propagate = False
    aiokafka.handlers = [Outages()]


class Outages(logging.Handler):
    """Tells now and then that a broker is away: consumers wait for it in silence, and the client repeats every try.

    Parameters
    ----------
    interval_s
        It is told at most this often, in seconds.
    """

    def __init__(self, interval_s: float = OUTAGE_INTERVAL_S) -> None:
        super().__init__(logging.ERROR)
        self._interval_s = interval_s
        self._told = -interval_s

    def emit(self, record: logging.LogRecord) -> None:
        """Take what the client says, and pass on only that it cannot connect."""
        now = time.monotonic()
        if not str(record.msg).startswith("Unable connect to node") or now - self._told < self._interval_s:
            return
        self._told = now
        node, error = record.args if isinstance(record.args, tuple) else (None, None)
        structlog.get_logger(__name__).warning(
            "a broker of Kafka does not answer; trying again", node=node, error=str(error)
        )
