"""The ends that an export puts around a detector's graph, on a graph small enough to work out by hand."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.artefact.quantise import head_of
from training.artefact.serving_graph import OPSET, add_serving_ends
from training.errors import ExportError

ANCHORS = np.array(
    [
        # centre x, centre y, width, height, then a score a class
        (20, 20, 20, 20, 0.9, 0.1, 0.0),
        (21, 20, 20, 20, 0.1, 0.8, 0.0),  # the same face with another class: suppressed
        (60, 40, 10, 20, 0.0, 0.2, 0.6),
        (60, 80, 10, 10, 0.001, 0.002, 0.003),  # under the lowest score
    ],
    np.float32,
)
CHOSEN = np.array(
    [
        # two corners, score, class
        (10, 10, 30, 30, 0.9, 0),
        (10, 10, 30, 30, 0.8, 1),  # the same place with another class: suppressed
        (55, 30, 65, 50, 0.6, 2),
        (55, 75, 65, 85, 0.003, 2),  # under the lowest score
    ],
    np.float32,
)
EXPECTED = [[0, 10, 10, 30, 30, 0.9, 0], [0, 55, 30, 65, 50, 0.6, 2]]


def graph(raw: NDArray[np.float32], *, outputs: int = 1, end_to_end: bool = False) -> onnx.ModelProto:
    """Make a graph that answers the same to every picture, with as many answers as there are pictures."""
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
        numpy_helper.from_array(raw[None], "raw"),
    ]
    made = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "rows", "columns"])
            for name in ["output0", "zero"][:outputs]
        ],
        initializer,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(model, {"end2end": str(end_to_end), "description": "trained on /home/somebody/data.yaml"})
    return model


HEADS = {"one-to-many": graph(ANCHORS.T), "end-to-end": graph(CHOSEN, end_to_end=True)}


@pytest.fixture(params=HEADS)
def session(request: pytest.FixtureRequest) -> onnxruntime.InferenceSession:
    made = onnx.ModelProto()
    made.CopyFrom(HEADS[request.param])
    return onnxruntime.InferenceSession(add_serving_ends(made).SerializeToString())


def run(session: onnxruntime.InferenceSession, batch: int) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = session.run(None, {"pictures": np.zeros((batch, 100, 100, 3), np.uint8)})[0]
    return rows


def test_bytes_go_in_and_one_row_a_face_comes_out(session: onnxruntime.InferenceSession) -> None:
    np.testing.assert_allclose(run(session, 1), EXPECTED, rtol=1e-5, atol=1e-5)


def test_every_picture_of_a_batch_has_its_own_rows(session: onnxruntime.InferenceSession) -> None:
    rows = run(session, 3)
    assert sorted(rows[:, 0].tolist()) == [0, 0, 1, 1, 2, 2]


def test_a_graph_of_another_form_is_refused() -> None:
    with pytest.raises(ExportError, match="found 1 and 2"):
        add_serving_ends(graph(ANCHORS.T, outputs=2))


def test_no_path_of_the_machine_that_trained_stays_in_the_graph() -> None:
    assert b"somebody" not in add_serving_ends(graph(ANCHORS.T)).SerializeToString()


def test_the_head_is_the_last_module_whatever_its_number() -> None:
    assert head_of(["/model.9/cv1/Conv", "/model.23/one2one_cv2.0/Conv", "serve/boxes"]) == 23
    with pytest.raises(ExportError, match="does not come from Ultralytics"):
        head_of(["Conv_1"])
