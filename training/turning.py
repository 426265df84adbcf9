"""Where faces' boxes lie once a picture is turned; pure."""

import numpy as np
from numpy.typing import NDArray


def map_faces(boxes: NDArray[np.floating], matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """Map boxes of faces as ellipses.

    A box around the corners of a turned box is half as large again at 15°. A face hardly reaches into its box's
    corners, so the ellipse in the box is mapped, and a box drawn around that.

    Parameters
    ----------
    boxes
        x1, y1, x2, y2 in pixels, shape (n, 4).
    matrix
        The affine map of pixels, shape (2, 3) or (3, 3).

    Returns
    -------
    NDArray
        The boxes around the mapped ellipses, shape (n, 4).

    Examples
    --------
    >>> import numpy as np
    >>> quarter = np.array([[0, -1, 0], [1, 0, 0]])
    >>> map_faces(np.array([[10, 20, 30, 80]]), quarter).tolist()
    [[-80.0, 10.0, -20.0, 30.0]]
    """
    linear, shift = matrix[:2, :2].T, matrix[:2, 2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ linear + shift
    halves = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ linear**2)
    return np.concatenate([centres - halves, centres + halves], axis=1)
