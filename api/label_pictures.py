"""The pictures of frames that are to be labelled: in Kafka until somebody says something, then in the store.

The last few are kept here, because a page asks for a picture, and a moment later its label needs it again.
"""

import asyncio
from collections import OrderedDict

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from api.label_table import LabelTable, Waiting
from maskwatch import reading
from maskwatch.errors import BrokerError
from maskwatch.settings import Settings
from maskwatch.store import Store
from maskwatch.topics import Name

AT_A_TIME = 4
KEPT = 32
"""Pictures at hand, at most; each has less than a megabyte."""

TIMEOUT_S = 10.0


class LabelPictures:
    """Finds pictures by frame.

    Parameters
    ----------
    settings
        Name the cluster.
    table
        Says where each lies.
    store
        Where those lie that have a label.
    """

    def __init__(self, settings: Settings, table: LabelTable, store: Store) -> None:
        self._settings = settings
        self._table = table
        self._store = store
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._at_hand: OrderedDict[str, bytes] = OrderedDict()

    async def find(self, frame: str) -> bytes | None:
        """Return the JPEG of a frame, None if it is gone or was never there; what is erased is gone.

        Raises
        ------
        BrokerError
            If Kafka does not give it in time.
        StoreError
            If the store does not.
        """
        if self._table.is_erased(frame):
            return None
        if frame in self._at_hand:
            self._at_hand.move_to_end(frame)
            return self._at_hand[frame]
        jpeg = await self._fetched(frame)
        # It may have been erased in the meantime.
        if jpeg is None or self._table.is_erased(frame):
            return None
        self._at_hand[frame] = jpeg
        while len(self._at_hand) > KEPT:
            self._at_hand.popitem(last=False)
        return jpeg

    def forget(self, frame: str) -> None:
        """Let go of a picture at once."""
        self._at_hand.pop(frame, None)

    async def _fetched(self, frame: str) -> bytes | None:
        label, waiting = self._table.label(frame), self._table.request(frame)
        if label is not None and label.sha256:
            kept = await self._store.within(self._store.get, label.sha256)
            if kept is not None:
                return kept
        return await self._from_kafka(waiting) if waiting is not None else None

    async def _from_kafka(self, waiting: Waiting) -> bytes | None:
        place = TopicPartition(f"{self._settings.kafka.topic_prefix}{Name.LABEL_REQUESTS}", waiting.partition)
        try:
            async with asyncio.timeout(TIMEOUT_S), self._turns:
                record = await reading.record_at(self._settings, place, waiting.offset)
        except (TimeoutError, KafkaError) as error:
            frame = waiting.request.frame.id
            raise BrokerError(f"the picture of {frame} was not read within {TIMEOUT_S:g} s: {error!r}") from error
        # A record without a value takes a request back.
        return bytes(record.value) if record is not None and record.value else None
