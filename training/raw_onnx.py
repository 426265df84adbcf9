"""``python -m training.raw_onnx CHECKPOINT one-to-many|end-to-end``: a checkpoint as Ultralytics exports it.

A process of its own, because torch's exporter leaves gigabytes behind that calibration needs. The graph lies beside
the checkpoint, with the suffix ``.onnx``.
"""

import sys

from training import train  # noqa: F401  # switches off what Ultralytics would fetch
from training.serving_graph import OPSET


def main(checkpoint: str, head: str) -> None:
    """Export a checkpoint."""
    from ultralytics import YOLO  # noqa: PLC0415  # after it was switched off

    # Ultralytics takes the head without suppression only where that is asked for in so many words.
    nms = False if head == "end-to-end" else None
    YOLO(checkpoint).export(format="onnx", dynamic=True, simplify=False, opset=OPSET, device="cpu", nms=nms)


if __name__ == "__main__":
    main(*sys.argv[1:])
