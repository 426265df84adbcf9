"""Put around a detector's graph what makes it serve: bytes go in, one row a face comes out.

Scaling to 0..1 and the suppression of overlapping boxes are part of the graph, so that every runtime does them alike.
A face is reported once, with its likeliest class, whichever head the detector has: one that answers many times to a
face (YOLOv8, and YOLO26 as Ultralytics exports it), or the end-to-end one of YOLO26, which chooses its answers itself
but may give one place two classes.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from maskwatch.messages import CLASSES
from training.errors import ExportError

OPSET = 17
LOWEST_SCORE = 0.01
"""The graph's own threshold: low enough for evaluation, raised by the worker."""
OVERLAP = 0.5
MOST_FACES = 200
WEIGHTS = 1024
"""Constants of so many numbers and more are weights, which make up nearly all of a graph's size."""


def add_serving_ends(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Put bytes-to-floats before a YOLO graph and non-maximum suppression behind it.

    Parameters
    ----------
    graph
        Input (n, 3, height, width) floats in 0..1. Output (n, 4 + classes, anchors) with centre boxes in pixels; or,
        where Ultralytics noted ``end2end`` in its metadata, (n, answers, 6) with corners in pixels, score and class.

    Returns
    -------
    onnx.ModelProto
        Input ``pictures`` (n, height, width, 3) uint8 RGB, output ``faces`` (k, 7) as
        :data:`maskwatch.inference.Rows` says.

    Raises
    ------
    ExportError
        If the graph is not of that form.
    """
    inner = graph.graph
    if len(inner.input) != 1 or len(inner.output) != 1:
        raise ExportError(f"expected one input and one output, found {len(inner.input)} and {len(inner.output)}")
    floats, raw = inner.input[0].name, inner.output[0].name
    chooses_itself = notes(graph).get("end2end") == "True"
    # Among them are paths of the machine that trained.
    del graph.metadata_props[:]
    front, back = _Nodes(), _Nodes()
    cast = front.add("Cast", ["pictures"], "cast", to=TensorProto.FLOAT)
    planes = front.add("Transpose", [cast], "planes", perm=[0, 3, 1, 2])
    front.nodes.append(helper.make_node("Mul", [planes, front.constant("scale", np.float32(1 / 255))], [floats]))
    _rows(back, *(_chosen if chooses_itself else _by_anchor)(back, raw), centred=not chooses_itself)

    everything = [*front.nodes, *inner.node, *back.nodes]
    del inner.node[:]
    inner.node.extend(everything)
    inner.initializer.extend([*front.constants, *back.constants])
    del inner.input[:]
    inner.input.append(helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", "height", "width", 3]))
    del inner.output[:]
    inner.output.append(helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["faces", 7]))
    onnx.checker.check_model(graph)
    return graph


def with_half_weights(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Store a graph's weights in half precision; runtimes make floats of them once, on loading it.

    Parameters
    ----------
    graph
        Of :func:`add_serving_ends`; it is not altered.

    Returns
    -------
    onnx.ModelProto
        The same graph with half the bytes: constants of :data:`WEIGHTS` floats and more are FP16, each behind a Cast.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(graph)
    inner, casts = halved.graph, []
    for tensor in inner.initializer:
        weights = numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.FLOAT and weights.size >= WEIGHTS:
            name, half = tensor.name, f"{tensor.name}/half"
            casts.append(helper.make_node("Cast", [half], [name], name=f"{name}/float", to=TensorProto.FLOAT))
            tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), half))
    everything = [*casts, *inner.node]
    del inner.node[:]
    inner.node.extend(everything)
    onnx.checker.check_model(halved)
    return halved


def notes(graph: onnx.ModelProto) -> dict[str, str]:
    """Return what Ultralytics noted about a model that it exported."""
    return {note.key: note.value for note in graph.metadata_props}


class _Nodes:
    """Nodes that follow each other, and their constants; all of them are called ``serve/…``."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: object) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"serve/{name}"))
        return f"serve/{name}"

    def whole(self, name: str, *numbers: int) -> str:
        return self.constant(name, np.array(numbers, np.int64))

    def add(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        output = f"serve/{name}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"serve/{kind}/{name}", **attributes))
        return output

    def part(self, of: str, axis: int, first: int, end: int, name: str) -> str:
        bounds = [self.whole(f"{name}-{bound}", number) for bound, number in (("first", first), ("end", end))]
        return self.add("Slice", [of, *bounds, self.whole(f"{name}-axis", axis)], name)


def _by_anchor(back: _Nodes, raw: str) -> tuple[str, str, str]:
    """Take (n, 4 + classes, anchors) apart: boxes (n, k, 4), best score (n, 1, k) and its class (n, k)."""
    boxes = back.add("Transpose", [back.part(raw, 1, 0, 4, "boxes")], "boxes-by-anchor", perm=[0, 2, 1])
    classes = back.part(raw, 1, 4, 4 + len(CLASSES), "classes")
    best = back.add("ReduceMax", [classes], "best", axes=[1], keepdims=1)
    return boxes, best, back.add("ArgMax", [classes], "label", axis=1, keepdims=0)


def _chosen(back: _Nodes, raw: str) -> tuple[str, str, str]:
    """Take (n, k, 6) apart into the same three."""
    best = back.add("Transpose", [back.part(raw, 2, 4, 5, "score-column")], "best", perm=[0, 2, 1])
    label = back.add("Squeeze", [back.part(raw, 2, 5, 6, "label-column"), back.whole("label-axis", 2)], "label")
    return back.part(raw, 2, 0, 4, "boxes"), best, label


def _rows(back: _Nodes, boxes: str, best: str, label: str, *, centred: bool) -> None:
    """Suppress what overlaps, across classes, and lay out what is left."""
    kept = back.add(
        "NonMaxSuppression",
        [
            boxes,
            best,
            back.whole("most", MOST_FACES),
            back.constant("overlap", np.array([OVERLAP], np.float32)),
            back.constant("lowest", np.array([LOWEST_SCORE], np.float32)),
        ],
        "kept",
        # Corners may come as x, y where y, x is asked for: the overlap of two boxes is the same.
        center_point_box=int(centred),
    )
    axis = back.whole("axis", 1)
    where = back.add("Gather", [kept, back.whole("batch-and-anchor", 0, 2)], "where", axis=1)
    box = back.add("GatherND", [boxes, where], "box")
    if centred:
        half = back.add("Mul", [back.part(box, 1, 2, 4, "size"), back.constant("half", np.float32(0.5))], "half-size")
        centre = back.part(box, 1, 0, 2, "centre")
        corners = [back.add("Sub", [centre, half], "top-left"), back.add("Add", [centre, half], "bottom-right")]
    else:
        corners = [box]
    flat = back.add("Squeeze", [best, axis], "best-flat")
    columns = {
        "picture": back.add("Gather", [kept, back.whole("batch", 0)], "picture", axis=1),
        "score": back.add("Unsqueeze", [back.add("GatherND", [flat, where], "score-flat"), axis], "score"),
        "kind": back.add("Unsqueeze", [back.add("GatherND", [label, where], "kind-flat"), axis], "kind"),
    }
    picture, score, kind = (
        back.add("Cast", [column], f"{name}-float", to=TensorProto.FLOAT) for name, column in columns.items()
    )
    back.nodes.append(helper.make_node("Concat", [picture, *corners, score, kind], ["faces"], axis=1))
