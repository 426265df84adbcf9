"""Faust's consumer, which loses nothing where nothing is committed yet.

While partitions change hands Faust throws away what it has fetched, and goes back to what is committed. Where nothing
is, it stays where it was: what it threw away was never read by anybody. Seen with faust-streaming 0.15.3 and aiokafka
0.14, on a busy machine, when a second process joined in the first two seconds.
"""

from collections.abc import Mapping

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP


class RewindingConsumer(Consumer):
    """Goes back to the beginning of each partition of which nothing is committed."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go back to what is committed, or to the beginning.

        Returns
        -------
        Mapping
            What is committed of each partition, as Faust's own does: the next offset, None where nothing is.

        Raises
        ------
        KafkaError
            If the broker does not answer.
        """
        committed = await super().seek_to_committed()
        # The state's own topic is read to its end, wherever that was begun, and is committed by nobody.
        bare = [
            TP(place.topic, place.partition)
            for place, offset in committed.items()
            if not offset and self.app.topics.acks_enabled_for(place.topic)
        ]
        if bare:
            for place, first in (await self.earliest_offsets(*bare)).items():
                await self.seek(TP(place.topic, place.partition), first)
        return committed
