"""``python -m training.artefact.raw_onnx CHECKPOINT one-to-many|end-to-end``: a checkpoint as Ultralytics exports it.

A process of its own, because torch's exporter leaves gigabytes behind that calibration needs. The graph lies beside
the checkpoint, with the suffix ``.onnx``, and so does the checkpoint as it may be given away, ``.shared.pt``.
"""

import sys
from pathlib import Path
from typing import Any

from training import train  # noqa: F401  # switches off what Ultralytics would fetch
from training.artefact.serving_graph import OPSET

PATHS = ("model", "data", "project", "save_dir")
"""Ultralytics' arguments that name places on the machine that trained."""


def main(checkpoint: str, head: str) -> None:
    """Export a checkpoint, and copy it without the names of this machine's folders."""
    from ultralytics import YOLO  # noqa: PLC0415  # after it was switched off

    # Ultralytics takes the head without suppression only where that is asked for in so many words.
    nms = False if head == "end-to-end" else None
    YOLO(checkpoint).export(format="onnx", dynamic=True, simplify=False, opset=OPSET, device="cpu", nms=nms)
    share(Path(checkpoint))


def share(checkpoint: Path) -> None:
    """Copy a checkpoint without what it says of the machine: folders shrink to their last name, the repository goes."""
    import torch  # noqa: PLC0415  # seconds, and only here

    content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=False)  # ours, or asked for
    content.pop("git", None)
    for arguments in (content.get("train_args"), getattr(content["model"], "args", None)):
        if isinstance(arguments, dict):
            arguments.update({name: Path(arguments[name]).name for name in PATHS if arguments.get(name)})
    torch.save(content, checkpoint.with_suffix(".shared.pt"))


if __name__ == "__main__":
    main(*sys.argv[1:])
