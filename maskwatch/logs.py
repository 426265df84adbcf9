"""Logs: structlog, one event a line, text on a terminal and JSON elsewhere.

Events are constant text and everything that varies is a field, so that a log can be searched by event. Pictures and
secrets never become fields.
"""

import logging
import os
import sys

import structlog

from maskwatch.settings import LogSettings

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
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ)]
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
    # Libraries log through the standard module. aiokafka repeats itself on every try while
    # a broker is away, and raises what matters: that is logged where it is met.
    logging.basicConfig(level=logging.WARNING, format=f"%(levelname)s {stage} %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
