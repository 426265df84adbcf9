"""Taking labels: frames are given out, what people say is looked at, kept, and only then acknowledged; and erased.

A label is two things, a picture in the store and a record in ``labels.v1``. The picture comes first, so that no label
names what is not there; a picture without a label is tidied away by :mod:`consumers.dataset`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from api.broker import Broker
from api.label_pictures import LabelPictures
from api.label_table import LabelTable, Waiting
from api.leases import ValkeyLeases
from api.problems import (
    AWAY,
    FRAME_HELD,
    LABEL_REFUSED,
    PICTURE_GONE,
    UNKNOWN_FRAME,
    UNREADABLE,
    ProblemError,
)
from maskwatch import base_set, evidence, kafka
from maskwatch.drift_messages import LabelRequest, label_request_headers
from maskwatch.errors import BrokerError, PictureError, StoreError
from maskwatch.fingerprint import LookAlikes, fingerprint
from maskwatch.label_checks import complaint
from maskwatch.label_messages import FrameLabel, own_hash, own_key, proposal_of
from maskwatch.messages import MarkedFace, encode
from maskwatch.pictures import jpeg_size
from maskwatch.settings import Settings
from maskwatch.store import Store, name_of
from maskwatch.topics import Name

RETRY_AFTER = {"Retry-After": "5"}
RECORDED = timedelta(days=2)
"""A frame from longer ago is recorded nowhere."""

HEARD_S = 2.0
HEARD_EVERY_S = 0.05
OFFERED = 256
"""Of the frames that wait, so many of the newest are looked through for one that nobody holds."""


class Said(NamedTuple):
    """What somebody says about a frame."""

    frame: str
    state: Literal["labelled", "skipped"]
    faces: tuple[MarkedFace, ...]
    by: str
    holder: str = ""
    """Who holds the frame; empty for programs, which hold none."""
    source: str = ""
    """What a program calls itself, for pictures of its own."""


class Labelling:
    """Gives frames out and takes labels.

    Parameters
    ----------
    settings
        Name the cluster, and what a label must be.
    broker
        Publishes labels.
    table
        What is known of them.
    store
        Keeps the pictures.
    leases
        Who holds which frame.
    frozen
        The pictures that nobody may train on.
    forget
        Takes a camera and a frame: removes that frame from what viewers are shown. May raise StoreError.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # all that labels touch
        self,
        settings: Settings,
        broker: Broker,
        table: LabelTable,
        store: Store,
        leases: ValkeyLeases,
        frozen: LookAlikes,
        forget: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self.table = table
        self.pictures = LabelPictures(settings, table, store)
        self._settings = settings
        self._broker = broker
        self._store = store
        self._leases = leases
        self._frozen = frozen
        self._forget = forget

    async def take(self, holder: str, keep: Sequence[str], give_back: Sequence[str], most: int) -> list[Waiting]:
        """Give frames to somebody to label.

        Parameters
        ----------
        holder
            Who.
        keep
            What they hold and still want.
        give_back
            What they hold and do not want any more.
        most
            How many they want in all.

        Returns
        -------
        list of Waiting
            What is theirs now: what they keep first, then the newest.

        Raises
        ------
        ProblemError
            If Valkey is away.
        """
        offered = [waiting for waiting, _ in zip(self.table.waiting(), range(OFFERED), strict=False)]
        by_frame = {one.request.frame.id: one for one in offered if one.request.frame.id not in give_back}
        kept = {frame: one for frame in keep if (one := self.table.request(frame)) and not self.table.label(frame)}
        by_frame = kept | by_frame
        try:
            await self._leases.give_back(give_back, holder)
            mine = await self._leases.take(list(by_frame), holder, most) if most else []
        except StoreError as error:
            raise _away(error) from error
        return [by_frame[frame] for frame in mine]

    async def ask_for(self, request: LabelRequest) -> None:
        """Offer a frame that somebody wants to be labelled, before all others; on return it waits.

        Raises
        ------
        ProblemError
            If it was erased, its picture is gone, or what is needed is away.
        """
        frame = request.frame
        if self.table.is_erased(frame.id):
            raise ProblemError(PICTURE_GONE, "It was erased.")
        kept = abs(datetime.now(UTC) - frame.captured) <= RECORDED
        try:
            jpeg = await evidence.very_picture(self._settings, frame) if kept else None
            if jpeg is None:
                raise ProblemError(PICTURE_GONE, "That frame is live no more, and was not recorded.")
            await kafka.send(
                self._broker.producer,
                self._settings,
                Name.LABEL_REQUESTS,
                key=frame.id,
                value=jpeg,
                headers=label_request_headers(request),
            )
        except BrokerError as error:
            raise _away(error) from error
        # It is heard of by the topic, which says where its picture lies; if that takes long, it comes later.
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_S):
                while self.table.request(frame.id) is None:  # noqa: ASYNC110  # the feed fills it
                    await asyncio.sleep(HEARD_EVERY_S)

    async def label(self, said: Said) -> FrameLabel:
        """Keep what somebody says about a frame; on return it is durable.

        Raises
        ------
        ProblemError
            If it is refused, the frame is another's or gone, or what is needed is away. Nothing was changed then.
        """
        before, waiting = self.table.label(said.frame), self.table.request(said.frame)
        if self.table.is_erased(said.frame):
            raise ProblemError(PICTURE_GONE, "It was erased.")
        if before is None and waiting is None and not own_hash(said.frame):
            raise ProblemError(UNKNOWN_FRAME, "Nobody was asked to label such a frame.")
        try:
            await self._refuse_anothers(said)
            jpeg = await self._picture(said.frame)
            label = await asyncio.to_thread(self._described, said, jpeg, before, waiting)
            # 1. The picture is in the store, if anything is said about it.
            if label.state == "labelled":
                await self._store.within(self._store.put, jpeg)
            # 2. The label that names it is in Kafka.
            await self._publish(label)
        except (BrokerError, StoreError) as error:
            raise _away(error) from error
        # 3. Only then is it acknowledged, and the frame let go.
        self.table.take_label(label)
        await self._let_go(said)
        return label

    async def keep_picture(self, jpeg: bytes) -> str:
        """Keep a picture that is no camera's, to be labelled next; return its frame.

        Raises
        ------
        ProblemError
            If it was erased before, or the store is away.
        """
        frame = own_key(name_of(jpeg))
        if self.table.is_erased(frame):
            raise ProblemError(PICTURE_GONE, "It was erased.")
        try:
            await self._store.within(self._store.put, jpeg)
        except StoreError as error:
            raise _away(error) from error
        return frame

    async def picture_of(self, sha256: str) -> bytes | None:
        """Return a picture that judged a model, from the store or the base set; None if it is gone, or was erased.

        Raises
        ------
        StoreError
            If the store does not answer.
        """
        if any(label.state == "erased" for label in self.table.of_picture(sha256)):
            return None
        kept = await self._store.within(self._store.get, sha256)
        return kept or await asyncio.to_thread(base_set.picture, self._settings.retrain.base, sha256)

    async def erase(self, frame: str, by: str) -> list[FrameLabel]:
        """Erase a picture and all that is said about it; on return the store has it no more, and no reader shows it.

        Raises
        ------
        ProblemError
            If there is no such picture, or what is needed is away. It may be asked for again then.
        """
        known, waiting = self.table.label(frame), self.table.request(frame)
        if known is None and waiting is None:
            raise ProblemError(UNKNOWN_FRAME, "Nothing is known of such a frame.")
        same = [label for label in self.table.of_picture(known.sha256) if label.frame != frame] if known else []
        erased = []
        try:
            for one in (frame, *(label.frame for label in same)):
                # 1. Every reader refuses it from here on, and whoever keeps it removes it, should this process end now.
                erased.append(await self._publish_erased(one, by))
                # 2. Its request is taken back, and with it the picture in Kafka within the hour.
                await self._publish_nothing(one)
            # 3. The store has it no more, and remembers that: whoever keeps labels may have said so there already.
            for label in erased:
                if label.sha256:
                    await self._store.within(self._store.remove, label.sha256)
                await self._store.within(self._store.write_label, label.frame, msgspec.json.encode(label))
                # 4. It is no camera's last picture any more.
                if label.captured is not None:
                    await self._forget(label.source, label.frame)
        except (BrokerError, StoreError) as error:
            raise _away(error) from error
        return erased

    async def _publish_erased(self, frame: str, by: str) -> FrameLabel:
        known, waiting = self.table.label(frame), self.table.request(frame)
        ref = waiting.request.frame if waiting else None
        label = FrameLabel(
            frame=frame,
            state="erased",
            at=datetime.now(UTC),
            by=by,
            sha256=known.sha256 if known else "",
            source=ref.camera if ref else known.source if known else "",
            captured=ref.captured if ref else known.captured if known else None,
        )
        await self._publish(label)
        self.table.take_label(label)
        self.pictures.forget(frame)
        return label

    async def _refuse_anothers(self, said: Said) -> None:
        if not said.holder:
            return
        other = await self._leases.holder(said.frame)
        if other not in {"", said.holder}:
            raise ProblemError(FRAME_HELD, "Somebody else is labelling it: it was left for too long.")

    async def _picture(self, frame: str) -> bytes:
        own = own_hash(frame)
        if own and self.table.label(frame) is None:
            jpeg = await self._store.within(self._store.get, own)
        else:
            jpeg = await self.pictures.find(frame)
        if jpeg is None:
            raise ProblemError(PICTURE_GONE, "The picture of that frame is not there any more.")
        return jpeg

    def _described(self, said: Said, jpeg: bytes, before: FrameLabel | None, waiting: Waiting | None) -> FrameLabel:
        """Look at a label, and add what is known of its frame; in a thread, since it decodes the picture."""
        options = self._settings.labels
        try:
            size, print_ = jpeg_size(jpeg, self._settings.detector.max_pixels), fingerprint(jpeg)
        except PictureError as error:
            raise ProblemError(UNREADABLE, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        if why := complaint(said.faces, size, options.least_side):
            raise ProblemError(LABEL_REFUSED, f"{why[:1].upper()}{why[1:]}.")
        if said.state == "labelled" and self._frozen.near(print_):
            raise ProblemError(LABEL_REFUSED, "It looks like a picture of the frozen test part, which judges models.")
        ref = waiting.request.frame if waiting else None
        source = ref.camera if ref else before.source if before else said.source or "api"
        if before is None and self.table.counted(source) >= options.per_source:
            raise ProblemError(LABEL_REFUSED, f"There are {options.per_source} labels of its source, as many as count.")
        return FrameLabel(
            frame=said.frame,
            state=said.state,
            at=datetime.now(UTC),
            by=said.by,
            faces=said.faces,
            sha256=name_of(jpeg) if said.state == "labelled" or own_hash(said.frame) else "",
            width=size[0],
            height=size[1],
            fingerprint=print_,
            source=source,
            captured=ref.captured if ref else before.captured if before else None,
            proposal=proposal_of(waiting.request) if waiting else before.proposal if before else None,
        )

    async def _publish(self, label: FrameLabel) -> None:
        value, headers = encode(label, kind="maskwatch.label.v1", source="/api", id=label.frame, time=label.at)
        await kafka.send(
            self._broker.producer, self._settings, Name.LABELS, key=label.frame, value=value, headers=headers
        )

    async def _publish_nothing(self, frame: str) -> None:
        await kafka.send(self._broker.producer, self._settings, Name.LABEL_REQUESTS, key=frame, value=None, headers=[])

    async def _let_go(self, said: Said) -> None:
        try:
            await self._leases.give_back([said.frame] if said.holder else [], said.holder)
        except StoreError:
            # It expires by itself, and nobody is offered what has a label.
            return


def _away(error: BrokerError | StoreError) -> ProblemError:
    what = "Kafka" if isinstance(error, BrokerError) else "The store"
    return ProblemError(AWAY, f"{what} is away; nothing was changed.", headers=RETRY_AFTER)
