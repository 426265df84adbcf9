"""From a picture that somebody uploaded to what is published: a JPEG, the right way up, that Kafka takes.

JPEG, PNG and WebP are taken. A JPEG that fits already and carries nothing about its maker is published byte for byte;
everything else is written anew, without its metadata: a phone's pictures tell where they were taken.
"""

from datetime import datetime
from io import BytesIO
from typing import NamedTuple

import numpy as np
import simplejpeg
from aiokafka import AIOKafkaProducer
from PIL import Image, ImageOps, UnidentifiedImageError

from maskwatch import kafka
from maskwatch.errors import PictureError
from maskwatch.messages import LARGEST_JPEG, Camera, upload_headers
from maskwatch.settings import Settings
from maskwatch.topics import Name
from producers.jpeg import Jpeg, to_jpeg

FORMATS = ("JPEG", "PNG", "WEBP")
LONGEST_SIDE = 1920
"""Pixels: three times what the model looks at, and enough to show to people."""

_AS_WRITTEN = Camera(id="upload", source="upload", longest_side=LONGEST_SIDE, quality=90)
_WHITE = (255, 255, 255)


class Upload(NamedTuple):
    """A picture that is to be looked at."""

    id: str
    """Which its answer names."""
    jpeg: Jpeg
    body_hash: str
    """SHA-256 of what was sent, as hex digits."""
    uploaded: datetime


def prepare(data: bytes, max_pixels: int) -> Jpeg:
    """Make what is published of a picture; takes milliseconds to some hundred of them, so call it in a thread.

    Parameters
    ----------
    data
        JPEG, PNG or WebP. Of an animation, the first picture is taken.
    max_pixels
        Pictures of more pixels are refused before they are decoded.

    Returns
    -------
    Jpeg
        Of what `data` shows, turned as its EXIF orientation says.

    Raises
    ------
    PictureError
        If this is no such picture, is truncated or corrupt, or promises too many pixels; the text says which.
    """
    if not data:
        raise PictureError("the picture is empty")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
            if width * height > max_pixels:
                raise PictureError(f"{width}x{height} pixels are more than {max_pixels}")
            if _fits(picture, data):
                _see_that_it_is_whole(data)
                return Jpeg(data, width, height)
            return _written_anew(picture)
    except UnidentifiedImageError as error:
        raise PictureError("the bytes are no JPEG, PNG or WebP") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureError(f"the picture has more than {max_pixels} pixels") from error
    # Pillow's decoders raise many kinds of errors on bytes that are not what they promise.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, OverflowError) as error:
        raise PictureError("the picture is truncated or corrupt") from error


def _fits(picture: Image.Image, data: bytes) -> bool:
    return (
        picture.format == "JPEG"
        and picture.mode in {"RGB", "L"}
        and len(data) <= LARGEST_JPEG
        and max(picture.size) <= 2 * LONGEST_SIDE
        and not {"exif", "comment", "xmp", "photoshop"} & picture.info.keys()
    )


def _see_that_it_is_whole(jpeg: bytes) -> None:
    # At an eighth of its size a JPEG is decoded whole but for the last step: cheap, and what is cut off is noticed.
    simplejpeg.decode_jpeg(jpeg, "GRAY", min_width=1, min_height=1, min_factor=1)


def _written_anew(picture: Image.Image) -> Jpeg:
    # JPEGs are decoded at reduced scale where that is enough.
    picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
        see_through = upright.convert("RGBA")
        upright = Image.new("RGB", upright.size, _WHITE)
        upright.paste(see_through, mask=see_through.getchannel("A"))
    jpeg = to_jpeg(np.asarray(upright.convert("RGB"))[:, :, ::-1], _AS_WRITTEN)
    if jpeg is None:
        raise PictureError(f"the picture does not fit into {LARGEST_JPEG} bytes")
    return jpeg


async def publish(producer: AIOKafkaProducer, settings: Settings, upload: Upload) -> None:
    """Publish an upload; on return it is acknowledged by all replicas, and will be answered.

    Parameters
    ----------
    producer
        Made by :func:`maskwatch.kafka.durable_producer`, and running.
    settings
        Name the cluster and the prefix.

    Raises
    ------
    BrokerError
        If it was not acknowledged in time; it may still be answered.
    """
    jpeg = upload.jpeg
    headers = upload_headers(upload.id, upload.uploaded, jpeg.width, jpeg.height, upload.body_hash)
    await kafka.send(producer, settings, Name.FRAMES_UPLOAD, key=upload.id, value=jpeg.data, headers=headers)
