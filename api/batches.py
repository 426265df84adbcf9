"""Many pictures at once: files of a form, archives, short videos; each picture with an answer or a problem of its own.

Archives are unpacked one file at a time, and never further than their limits, whatever their tables promise. Of a video
a picture is taken now and then.
"""

import asyncio
import zipfile
from collections.abc import AsyncGenerator, Callable, Sequence
from io import BytesIO
from typing import NamedTuple

from api.bodies import Holding, SentFile
from api.problems import BAD_ARCHIVE, TOO_LARGE, UNREADABLE, ProblemError
from api.uploads import Sent, Uploads
from maskwatch.errors import PictureError
from maskwatch.settings import ApiSettings, Settings
from producers.video import VideoLimits, is_video, stills

AT_ONCE = 8
"""Pictures of a batch that are in hand at a time: workers look at as many in one round."""

ZIP = b"PK\x03\x04"
_NOT_PICTURES = ("__MACOSX/", "._")


class Item(NamedTuple):
    """One picture of a batch."""

    place: int
    """From 0."""
    name: str
    size: int
    """Bytes that `read` gives at most."""
    read: Callable[[], bytes]
    """May block, and raises ProblemError."""
    seconds: float | None = None
    """From the begin of the video that it is of."""


class Result(NamedTuple):
    """What became of it: one of the last two."""

    item: Item
    sent: Sent | None
    problem: ProblemError | None


def items(files: Sequence[SentFile], settings: Settings) -> list[Item]:
    """Return the pictures of a batch: archives opened, videos decoded; call it in a thread.

    Parameters
    ----------
    files
        As they were sent.
    settings
        Name the limits, and how many pictures of a video are taken.

    Raises
    ------
    ProblemError
        If there are too many, they are too large together, or an archive or a video cannot be read.
    """
    limits = settings.api
    found: list[Item] = []
    for file in files:
        if file.data.startswith(ZIP):
            found += _packed(file.data, limits)
        elif is_video(file.data):
            found += _stills(file, settings)
        else:
            found.append(Item(0, file.name, len(file.data), _at_hand(file.data)))
        if len(found) > limits.max_batch_files:
            raise ProblemError(TOO_LARGE, f"More than {limits.max_batch_files} files were sent.")
    if sum(item.size for item in found) > limits.max_batch_bytes:
        raise ProblemError(TOO_LARGE, f"Unpacked these are more than {limits.max_batch_bytes} bytes.")
    return [item._replace(place=place) for place, item in enumerate(found)]


def _stills(file: SentFile, settings: Settings) -> list[Item]:
    api = settings.api
    limits = VideoLimits(api.video_rate, api.max_video_s, settings.detector.max_pixels)
    try:
        found = stills(file.data, limits)
    except PictureError as error:
        raise ProblemError(UNREADABLE, f"{file.name or 'The body'}: {error}.") from error
    return [Item(0, file.name, len(still.jpeg), _at_hand(still.jpeg), still.seconds) for still in found]


def _at_hand(data: bytes) -> Callable[[], bytes]:
    return lambda: data


def _packed(data: bytes, limits: ApiSettings) -> list[Item]:
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    # The module raises many kinds of errors on bytes that are not what they promise.
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise ProblemError(BAD_ARCHIVE, "The archive's table cannot be read.") from error
    return [
        Item(0, info.filename, info.file_size, _reader(archive, info, limits.max_upload_bytes))
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.startswith(_NOT_PICTURES)
    ]


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(info) as file:
                data = file.read(most + 1)
        except Exception as error:  # zipfile, zlib, bz2 and lzma have errors of their own, with no class in common
            raise ProblemError(BAD_ARCHIVE, "This file of the archive cannot be unpacked.") from error
        if len(data) > most:
            raise ProblemError(TOO_LARGE, f"More than {most} bytes are in this file.")
        return data

    return read


async def results(
    batch: Sequence[Item], uploads: Uploads, holding: Holding, client: str, key: str | None
) -> AsyncGenerator[Result, None]:
    """Have every picture looked at; yield what became of each as it does.

    Parameters
    ----------
    batch
        From :func:`items`.
    uploads
        Looks at them.
    holding
        Where what is unpacked is counted.
    client, key
        Who asks, and the Idempotency-Key of the batch, if it has one: each picture's follows from it.
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> Result:
        async with places:
            taken = 0
            try:
                holding.take(item.size)
                taken = item.size
                data = await asyncio.to_thread(item.read)
                sent = await uploads.predict(data, client, None if key is None else f"{key}\n{item.place}")
            except ProblemError as problem:
                return Result(item, None, problem)
            finally:
                holding.give_back(taken)
            return Result(item, sent, None)

    tasks = [asyncio.create_task(one(item)) for item in batch]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
