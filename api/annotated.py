"""A picture with its boxes drawn into it, for those who want to see and not to compute."""

import cv2
import simplejpeg

from maskwatch.messages import DetectedFace, Label

_COLOURS: dict[Label, tuple[int, int, int]] = {
    "with_mask": (0x2C, 0xC9, 0xB5),
    "without_mask": (0xF2, 0x54, 0x2D),
    "mask_weared_incorrect": (0xFF, 0xCB, 0x52),
}
"""RGB; the console's three (`tokens.css`)."""

_WORDS: dict[Label, str] = {
    "with_mask": "mask",
    "without_mask": "no mask",
    "mask_weared_incorrect": "mask worn wrongly",
}
_INK = (0x17, 0x12, 0x0C)


def annotate(jpeg: bytes, faces: tuple[DetectedFace, ...]) -> bytes:
    """Draw a box and a chip at every face; takes some ten milliseconds, so call it in a thread.

    Parameters
    ----------
    jpeg
        What the model looked at.
    faces
        Boxes in 0..1 of it.

    Returns
    -------
    bytes
        A JPEG of the same size.
    """
    picture = simplejpeg.decode_jpeg(jpeg, "RGB")
    height, width = picture.shape[:2]
    thickness = max(2, round(max(width, height) / 400))
    scale = thickness / 4
    for face in faces:
        x1, x2 = (round(x * width) for x in face.box[0::2])
        y1, y2 = (round(y * height) for y in face.box[1::2])
        colour = _COLOURS[face.label]
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness)
        text = f"{_WORDS[face.label]} {face.score:.2f}"
        (wide, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, max(1, thickness // 2))
        # The chip sits above the face, at the edge of the picture below it.
        bottom = y1 if y1 > high + 2 * below else min(height, y2 + high + 2 * below)
        cv2.rectangle(picture, (x1, bottom - high - 2 * below), (x1 + wide + below, bottom), colour, cv2.FILLED)
        cv2.putText(
            picture, text, (x1 + below // 2, bottom - below), cv2.FONT_HERSHEY_SIMPLEX, scale, _INK,
            max(1, thickness // 2), cv2.LINE_AA,
        )  # fmt: skip
    return bytes(simplejpeg.encode_jpeg(picture, quality=90))
