"""Write the INT8 form of a served graph, calibrated on train pictures as they are served."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskwatch import pictures
from maskwatch.model import ShapeName
from training.datasets.manifest import Entry, spread
from training.errors import ExportError
from training.evaluation.answers import MAX_PIXELS
from training.evaluation.views import plain

CALIBRATION_PICTURES = 300
IN_FLOATS = ("Add", "Sub", "Mul", "Div", "dfl", "Sigmoid", "TopK", "Gather", "Mod")
"""What a head works boxes and scores out with; INT8 there costs accuracy and saves nothing."""


def head_of(names: Sequence[str]) -> int:
    """Return the number of a graph's last module, which is the head, by the names that torch gives its nodes.

    Raises
    ------
    ExportError
        If no node is named that way.

    Examples
    --------
    >>> head_of(["/model.0/conv/Conv", "/model.22/dfl/Softmax", "serve/boxes"])
    22
    """
    numbers = [int(found[1]) for name in names if (found := re.search(r"/?model\.(\d+)/", name))]
    if not numbers:
        raise ExportError("no node of the graph is called «model.N/…»: it does not come from Ultralytics' exporter")
    return max(numbers)


def calibration(entries: Sequence[Entry], shapes: Mapping[ShapeName, tuple[int, int]]) -> list[NDArray[np.uint8]]:
    """Take train pictures, evenly, and letterbox them as workers do, into each input in turn.

    Parameters
    ----------
    entries
        Train pictures; at most :data:`CALIBRATION_PICTURES` are taken.
    shapes
        The inputs.

    Returns
    -------
    list of NDArray
        One batch of one picture each.

    Raises
    ------
    ExportError
        If there is no picture.
    """
    if not entries:
        raise ExportError("INT8 is calibrated on train pictures, and there is none")
    sizes = list(shapes.values())
    return [
        pictures.decode(plain().render(entry), sizes[number % len(sizes)], MAX_PIXELS)[0][None]
        for number, entry in enumerate(spread(entries, CALIBRATION_PICTURES))
    ]


def quantise(graph: Path, batches: Sequence[NDArray[np.uint8]], target: Path, *, head_in_floats: bool = False) -> None:
    """Write the INT8 form: minima and maxima of every layer on the batches become its scale.

    Parameters
    ----------
    graph
        What :func:`training.artefact.serving_graph.add_serving_ends` made, as a file.
    batches
        Of :func:`calibration`.
    target
        The ``.xml`` to write; ``.bin`` comes beside it.
    head_in_floats
        Leave the head's convolutions in floating point too.
    """
    import nncf  # noqa: PLC0415  # seconds to import, and only for this
    import openvino  # noqa: PLC0415

    model = openvino.Core().read_model(graph)
    head = head_of([node.get_friendly_name() for node in model.get_ops()])
    left = [".*"] if head_in_floats else [f".*{kind}.*" for kind in IN_FLOATS]
    quantised = nncf.quantize(
        model,
        nncf.Dataset(list(batches)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(batches),
        ignored_scope=nncf.IgnoredScope(
            patterns=[".*serve/.*", *(f".*model\\.{head}/{pattern}" for pattern in left)], validate=False
        ),
    )
    openvino.save_model(quantised, target, compress_to_fp16=True)
