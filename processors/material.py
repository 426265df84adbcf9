"""What drift is evaluated on: pictures of recordings, as they are and changed by name, each looked at once.

Prints are drawn on the faces that were seen with a mask, so such a picture is looked at as it is first.

Looking is what takes long, so what was seen is kept beside the recording, and a run that was stopped goes on where it
ended. Everything after it works on what was seen alone.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import msgspec
import simplejpeg

from maskwatch.degradation import CHANGES, STRENGTHS, Change, Strength, degrade
from maskwatch.errors import MessageError, RecordingCutError, RecordingError
from maskwatch.inference import Detector, Refused
from maskwatch.messages import Box, Detection, FrameInfo, FrameRef, ModelRef, read_frame_headers
from maskwatch.pictures import Pixels
from maskwatch.recording import reading
from maskwatch.recording.format import Recorded
from maskwatch.topics import Name
from processors.prints import printed

QUALITY = 92
"""Of JPEGs of changed pictures: enough that it is no change of its own."""

LOOKED = ".looked.jsonl"
FRAMES = (Name.FRAMES_LIVE, Name.FRAMES_RECORDING)


Changed = Change | Literal["patterned_masks"]


class Looked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was seen on one picture."""

    detection: Detection
    change: Changed | None = None
    strength: Strength | None = None


class Variant(NamedTuple):
    """One change in one strength; None for the picture as it is."""

    change: Changed | None = None
    strength: Strength | None = None


PLAIN = Variant()
NAMES: tuple[Changed, ...] = (*CHANGES, "patterned_masks")
CHANGED = tuple(Variant(change, strength) for change in NAMES for strength in STRENGTHS)


def kept_beside(file: Path) -> Path:
    """Return where what was seen on a recording is kept."""
    return file.with_name(file.name + LOOKED)


def read(file: Path, model: ModelRef | None = None) -> list[Looked]:
    """Read what was seen on a recording so far; a line that was cut off is left out.

    Parameters
    ----------
    file
        The recording.
    model
        Whose answers are wanted; every model's without it.

    Raises
    ------
    RecordingError
        If nothing was kept, or it cannot be read.
    """
    try:
        lines = kept_beside(file).read_bytes().splitlines()
    except OSError as error:
        raise RecordingError(f"{kept_beside(file)} cannot be read: {error.strerror}") from error
    return [one for one in _decoded(lines) if model is None or one.detection.model == model]


def _decoded(lines: Sequence[bytes]) -> Iterator[Looked]:
    decoder = msgspec.json.Decoder(Looked)
    for line in lines:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            yield decoder.decode(line)


async def look(
    file: Path, detector: Detector, variants: Sequence[Variant], stop: asyncio.Event, tell: Callable[[int], None]
) -> int:
    """Look at every picture of a recording in every variant, unless the same model did that before.

    Parameters
    ----------
    file
        The recording.
    detector
        Ready.
    variants
        Those of each picture, one after the other, so that what is there after a stop is even.
    stop
        Ends it; what was seen is kept.
    tell
        Is told how many pictures are done.

    Returns
    -------
    int
        How many pictures are done, changed ones not counted.

    Raises
    ------
    RecordingError
        If the file is no recording, or holds no frame.
    """
    reading.summary(file)  # Raises before anything is kept beside what is no recording.
    done = _done(kept_beside(file))
    number = 0
    with kept_beside(file).open("ab") as kept:
        for number, record in enumerate(frames(file), 1):
            if stop.is_set():
                return number - 1
            if await _look_at(record, detector, variants, done, kept):
                tell(number)
    if not number:
        raise RecordingError(f"{file} holds no frame; record some: maskwatch record {file} --topic frames.live.v1")
    return number


_Done = Mapping[tuple[FrameRef, ModelRef], set[Variant]]


def _done(kept: Path) -> _Done:
    """Return in which variants a model has seen each frame; what was cut off at the end is removed."""
    found: defaultdict[tuple[FrameRef, ModelRef], set[Variant]] = defaultdict(set)
    if kept.exists():
        data = kept.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(kept, whole)
        for one in _decoded(data[:whole].splitlines()):
            found[one.detection.frame, one.detection.model].add(Variant(one.change, one.strength))
    return found


def frames(file: Path) -> Iterator[Recorded]:
    """Yield a recording's frames, live and recorded ones; one that was cut off ends there.

    Raises
    ------
    RecordingError
        If the file is no recording.
    """
    with suppress(RecordingCutError):
        yield from (record for record in reading.read(file) if record.topic in FRAMES and record.value)


async def _look_at(
    record: Recorded, detector: Detector, variants: Sequence[Variant], done: _Done, kept: BinaryIO
) -> bool:
    """Look at a picture in those variants in which it was not seen yet; tell whether there were any."""
    try:
        info = read_frame_headers([(name, value or b"") for name, value in record.headers])
    except MessageError:
        return False
    frame = _ref(info, record)
    seen = done.get((frame, detector.ref), set())
    missing = [variant for variant in variants if variant not in seen]
    if not missing:
        return False
    jpeg = record.value or b""
    # Also where it was seen before: the changes are drawn on its faces.
    (plain,) = await detector.detect([jpeg], "wide")
    if isinstance(plain, Refused):
        return True
    masked = tuple(face.box for face in plain.faces if face.label == "with_mask")
    changes = [variant for variant in missing if variant != PLAIN]
    jpegs = await asyncio.to_thread(_changed, jpeg, masked, changes, info.sequence)
    outcomes = dict(zip(changes, await detector.detect(jpegs, "wide"), strict=True)) | {PLAIN: plain}
    for variant in missing:
        outcome = outcomes[variant]
        if not isinstance(outcome, Refused):
            detection = Detection(frame, detector.ref, info.captured, outcome.faces, outcome.signals)
            kept.write(msgspec.json.encode(Looked(detection, *variant)) + b"\n")
    kept.flush()
    return True


def _changed(jpeg: bytes, masked: Sequence[Box], variants: Sequence[Variant], seed: int) -> list[bytes]:
    if not variants:
        return []
    pixels = simplejpeg.decode_jpeg(jpeg, "RGB")
    return [simplejpeg.encode_jpeg(_drawn(pixels, masked, variant, seed), QUALITY, "RGB") for variant in variants]


def _drawn(pixels: Pixels, masked: Sequence[Box], variant: Variant, seed: int) -> Pixels:
    if variant.change is None or variant.strength is None:
        return pixels
    if variant.change == "patterned_masks":
        return printed(pixels, masked, variant.strength, seed)
    return degrade(pixels, variant.change, variant.strength, seed)


def _ref(info: FrameInfo, record: Recorded) -> FrameRef:
    return FrameRef(
        info.id, info.camera, info.session, info.sequence, info.captured, info.width, info.height,
        record.topic, record.partition, record.offset,
    )  # fmt: skip
