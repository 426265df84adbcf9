"""The API's own connections: for what must not be lost, uploads and wishes, and for what must not be late."""

import asyncio
from typing import TYPE_CHECKING

from maskwatch import kafka
from maskwatch.errors import BrokerError
from maskwatch.settings import Settings

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

RETRY_S = 1.0


class Broker:
    """Keeps its producers connected; the API starts, and goes on, without a broker.

    Parameters
    ----------
    settings
        Name the cluster.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._live: AIOKafkaProducer | None = None

    @property
    def missing(self) -> str:
        """Why nothing can be published yet; empty when it can."""
        return "" if self._producer else f"Kafka at {self._settings.bootstrap_servers} is not there yet"

    @property
    def producer(self) -> "AIOKafkaProducer":
        """The producer of what must not be lost.

        Raises
        ------
        BrokerError
            While there is none.
        """
        if self._producer is None:
            raise BrokerError(self.missing)
        return self._producer

    @property
    def live(self) -> "AIOKafkaProducer":
        """The producer of live frames.

        Raises
        ------
        BrokerError
            While there is none.
        """
        if self._live is None:
            raise BrokerError(self.missing)
        return self._live

    async def run(self) -> None:
        """Keep the connection for ever."""
        while True:
            try:
                async with (
                    kafka.running(kafka.durable_producer(self._settings), self._settings) as durable,
                    kafka.running(kafka.live_producer(self._settings), self._settings) as live,
                ):
                    self._producer, self._live = durable, live
                    await asyncio.Event().wait()
            except BrokerError:
                await asyncio.sleep(RETRY_S)
            finally:
                self._producer = self._live = None
