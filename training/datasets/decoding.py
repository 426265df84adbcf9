"""Look whether a picture is whole, as strictly as the workers that serve do, and what it measures."""

import hashlib
import io
import struct
import warnings
from pathlib import Path

import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from maskwatch.errors import PictureError
from training.datasets.judging import SIDEWAYS, Shown

MAX_BYTES = 2**28
READ = ("JPEG", "PNG", "WEBP")


def look_at(path: Path) -> tuple[Shown, str]:
    """Decode a picture.

    Returns
    -------
    shown, sha256
        What it measures as it is shown; and the hash of its bytes.

    Raises
    ------
    PictureError
        If it is no picture, is truncated or corrupt, or has too many pixels or bytes.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PictureError(f"it has more than {MAX_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise PictureError(f"it cannot be read: {error.strerror}") from error
    if not content:
        raise PictureError("it is empty")
    with warnings.catch_warnings():
        # Pillow warns of odd metadata, which is no fault of the pixels; that a picture is huge is one.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            shown = _decode(content)
        except UnidentifiedImageError as error:
            raise PictureError("it is no picture") from error
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise PictureError(f"it has more than {Image.MAX_IMAGE_PIXELS} pixels") from error
        except (OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
            raise PictureError(f"it is cut off or corrupt: {error}") from error
    return shown, hashlib.sha256(content).hexdigest()


def orientation_of(image: Image.Image) -> int:
    """Return a picture's EXIF orientation; 1 where it says nothing that has a meaning.

    What cannot be read of it is taken for nothing: the pixels may be whole all the same. Nor does what XMP says count,
    which OpenCV and browsers do not read.
    """
    exif = Image.Exif()
    try:
        if image.format == "PNG":
            image.load()  # It may stand behind the pixels.
        exif.load(image.info.get("exif", b""))
        said = exif.get(ExifTags.Base.Orientation, 1)
    except (OSError, ValueError, SyntaxError, struct.error):
        return 1
    return said if isinstance(said, int) and said in range(1, 9) else 1


def upright(image: Image.Image) -> Image.Image:
    """Return a picture as it is shown, turned as its EXIF orientation says."""
    return image if orientation_of(image) == 1 else ImageOps.exif_transpose(image)


def _decode(content: bytes) -> Shown:
    with Image.open(io.BytesIO(content), formats=READ) as image:
        width, height = image.size
        orientation = orientation_of(image)
        if image.format in {"PNG", "WEBP"}:
            image.load()
        else:
            # A JPEG, or one that holds a second picture (MPO). Pillow takes one that is corrupt in the middle; the
            # workers do not.
            simplejpeg.decode_jpeg(content, "RGB")
    return Shown(height, width, orientation) if orientation >= SIDEWAYS else Shown(width, height, orientation)
