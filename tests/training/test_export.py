"""The ends that an export puts around a detector's graph, on a graph small enough to work out by hand."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.errors import ExportError
from training.export import OPSET, add_serving_ends

ANCHORS = [
    # centre x, centre y, width, height, then a score a class
    (20, 20, 20, 20, 0.9, 0.1, 0.0),
    (21, 20, 20, 20, 0.1, 0.8, 0.0),  # the same face with another class: suppressed
    (60, 40, 10, 20, 0.0, 0.2, 0.6),
    (60, 80, 10, 10, 0.001, 0.002, 0.003),  # under the lowest score
]


def graph(*, outputs: int = 1) -> onnx.ModelProto:
    """Make a graph that gives every picture the same anchors, weakened by how bright its first pixel is."""
    raw = np.array(ANCHORS, np.float32).T[None]
    nodes = [
        helper.make_node("Slice", ["images", "from", "to", "axes"], ["pixel"]),
        helper.make_node("Squeeze", ["pixel", "last"], ["grey"]),
        helper.make_node("Mul", ["grey", "none"], ["zero"]),
        helper.make_node("Add", ["zero", "raw"], ["output0"]),
    ]
    initializer = [
        numpy_helper.from_array(np.array([0, 0, 0], np.int64), "from"),
        numpy_helper.from_array(np.array([1, 1, 1], np.int64), "to"),
        numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
        numpy_helper.from_array(np.array([3], np.int64), "last"),
        numpy_helper.from_array(np.array(0, np.float32), "none"),
        numpy_helper.from_array(raw, "raw"),
    ]
    made = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 7, len(ANCHORS)])
            for name in ["output0", "zero"][:outputs]
        ],
        initializer,
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def run(batch: int) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(add_serving_ends(graph()).SerializeToString())
    rows: NDArray[np.float32] = session.run(None, {"pictures": np.zeros((batch, 100, 100, 3), np.uint8)})[0]
    return rows


def test_bytes_go_in_and_one_row_a_face_comes_out() -> None:
    np.testing.assert_allclose(run(1), [[0, 10, 10, 30, 30, 0.9, 0], [0, 55, 30, 65, 50, 0.6, 2]], rtol=1e-5, atol=1e-5)


def test_every_picture_of_a_batch_has_its_own_rows() -> None:
    rows = run(3)
    assert sorted(rows[:, 0].tolist()) == [0, 0, 1, 1, 2, 2]


def test_a_graph_of_another_form_is_refused() -> None:
    with pytest.raises(ExportError, match="found 1 and 2"):
        add_serving_ends(graph(outputs=2))
