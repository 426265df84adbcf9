"""An upload, from the bytes that came to its answer: seen to be a picture, published, waited for.

With an Idempotency-Key an upload has an id that follows from it, and is answered once however often it is sent.
"""

import asyncio
import hashlib
import uuid
from datetime import UTC, datetime
from typing import NamedTuple

from api.broker import Broker
from api.ledger import Ledger
from api.problems import AWAY, KEY_REUSED, UNREADABLE, ProblemError
from api.upload_index import Claim, ValkeyIndex
from maskwatch.errors import BrokerError, PictureError, StoreError
from maskwatch.messages import Prediction
from maskwatch.settings import Settings
from producers import upload
from producers.jpeg import Jpeg

RETRY_AFTER_S = 5
_NAMESPACE = uuid.UUID("6d61736b-7761-7463-682d-75706c6f6164")
"""«maskwatch-upload»: ids of other programs that follow from the same key are others."""


class Sent(NamedTuple):
    """An upload that is being looked at, or was."""

    id: str
    jpeg: Jpeg
    answer: Prediction | None
    """None if it did not come in time."""


def upload_id(client: str, key: str | None) -> str:
    """Return the id of an upload: of its own, or that of its client's key.

    Examples
    --------
    >>> upload_id("local", "order-17") == upload_id("local", "order-17") != upload_id("another", "order-17")
    True
    """
    return str(uuid.uuid4() if key is None else uuid.uuid5(_NAMESPACE, f"{client}\n{key}"))


class Uploads:
    """Takes pictures and gives answers.

    Parameters
    ----------
    settings
        Name the cluster, and how long an answer is waited for.
    broker
        Publishes them.
    index, ledger
        What is known of uploads, and of answers.
    """

    def __init__(self, settings: Settings, broker: Broker, index: ValkeyIndex, ledger: Ledger) -> None:
        self._settings = settings
        self._broker = broker
        self._index = index
        self._ledger = ledger

    @property
    def missing(self) -> str:
        """Why not every upload can be taken and answered; empty when it can."""
        return self._broker.missing or self._ledger.missing

    async def predict(self, data: bytes, client: str, key: str | None) -> Sent:
        """Have a picture looked at.

        Parameters
        ----------
        data
            What was sent.
        client
            Who asks: keys of two clients have nothing to do with each other.
        key
            The Idempotency-Key, if there is one.

        Raises
        ------
        ProblemError
            If it is no picture, its key belongs to something else, or what is needed is away. Nothing is lost then:
            what was not answered with success may be sent again.
        """
        try:
            jpeg = await asyncio.to_thread(upload.prepare, data, self._settings.detector.max_pixels)
        except PictureError as error:
            raise ProblemError(UNREADABLE, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        identity = upload_id(client, key)
        body_hash = hashlib.sha256(data).hexdigest()
        with self._ledger.waiting(identity) as answer:
            try:
                claim = Claim.NEW if key is None else await self._index.claim(identity, body_hash)
                if claim is Claim.CONFLICT:
                    raise ProblemError(KEY_REUSED, "The same Idempotency-Key was sent with another body before.")
                if claim is Claim.PUBLISHED and (known := await self._ledger.find(identity)) is not None:
                    return Sent(identity, jpeg, known)
                if claim is not Claim.PUBLISHED:
                    await self._publish(
                        upload.Upload(identity, jpeg, body_hash, datetime.now(UTC)), keyed=key is not None
                    )
            except (BrokerError, StoreError) as error:
                raise _away(error) from error
            await asyncio.wait([answer], timeout=self._settings.api.answer_timeout_s)
            return Sent(identity, jpeg, answer.result() if answer.done() else None)

    async def find(self, identity: str) -> Prediction | None:
        """Return the answer to an upload, None while there is none.

        Raises
        ------
        KeyError
            If no such upload is known.
        ProblemError
            If what is needed is away.
        """
        try:
            answer = await self._ledger.find(identity)
            if answer is None and not await self._index.knows(identity):
                raise KeyError(identity)
        except (BrokerError, StoreError) as error:
            raise _away(error) from error
        return answer

    async def _publish(self, one: upload.Upload, *, keyed: bool) -> None:
        # 1. Acknowledged by Kafka: from here on it will be answered.
        await upload.publish(self._broker.producer, self._settings, one)
        # 2. Only then noted. What is not noted is published again when it is sent again, and still has one answer.
        try:
            await self._index.publish({one.id: one.body_hash})
        except StoreError:
            if keyed:
                raise


def _away(error: BrokerError | StoreError) -> ProblemError:
    what = "Kafka" if isinstance(error, BrokerError) else "Valkey"
    return ProblemError(AWAY, f"{what} is away; nothing is lost.", headers={"Retry-After": str(RETRY_AFTER_S)})
