"""What the API knows of models: a table that topics keep up to date."""

import asyncio
import math

import structlog

from api.following import Following
from api.model_table import ModelTable
from maskwatch.errors import ModelError
from maskwatch.kafka import Record
from maskwatch.model import ModelCard, read_card
from maskwatch.settings import Settings
from maskwatch.topics import Name

FEEDS = {Name.MODELS: math.inf, Name.MODEL_VERSIONS: math.inf, Name.RUNS: math.inf}

log = structlog.get_logger(__name__)


class ModelFeed:
    """Keeps a table of models up to date.

    Parameters
    ----------
    settings
        Name the cluster, and the model that workers serve before any was promoted.

    Attributes
    ----------
    table : ModelTable
        What is known so far.
    own : ModelCard or None
        The model that workers serve before any was promoted, as far as it lies here.
    """

    def __init__(self, settings: Settings) -> None:
        self.table = ModelTable()
        self.own = _own(settings)
        self._following = Following(settings, FEEDS, self._take)
        self._changed = asyncio.Event()

    @property
    def missing(self) -> str:
        """Why the table is not complete yet; empty once it is."""
        return self._following.missing

    async def run(self) -> None:
        """Keep the table up to date for ever."""
        await self._following.follow(*FEEDS)

    async def change(self) -> None:
        """Wait until the next record was taken."""
        await self._changed.wait()

    def _take(self, name: Name, record: Record) -> None:
        self.table.take(name, record)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _own(settings: Settings) -> ModelCard | None:
    try:
        return read_card(settings.detector.model)
    except ModelError as error:
        # The API serves no model, so it may do without.
        log.info("the workers' own model is not known here", error=str(error))
        return None
