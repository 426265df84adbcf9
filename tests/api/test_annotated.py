import numpy as np
import simplejpeg

from api.annotated import annotate
from maskwatch.messages import CLASSES, DetectedFace


def test_the_annotated_picture_has_its_chips_inside() -> None:
    boxes = ((0.0, 0.0, 0.3, 0.3), (0.4, 0.5, 0.6, 0.9), (0.7, 0.0, 1.0, 1.0))
    faces = tuple(DetectedFace(label, 0.9, box) for label, box in zip(CLASSES, boxes, strict=True))
    blank = bytes(simplejpeg.encode_jpeg(np.full((300, 400, 3), 128, np.uint8)))
    drawn = simplejpeg.decode_jpeg(annotate(blank, faces))
    assert drawn.shape == (300, 400, 3)
    assert (abs(drawn.astype(int) - 128).max(axis=2) > 40).mean() > 0.02
