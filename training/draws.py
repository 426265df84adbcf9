"""How often each picture is drawn in an epoch: what is rare, or small beside other sources, is drawn more often.

Repeat factors are those of A. Gupta, P. Dollár and R. Girshick, "LVIS: A Dataset for Large Vocabulary Instance
Segmentation", CVPR 2019: the square root of how much rarer than wanted the rarest class on a picture is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.datasets.manifest import Entry


def weights(entries: Sequence[Entry], rare: float, shares: Mapping[str, float]) -> NDArray[np.float64]:
    """Weigh pictures for drawing.

    Parameters
    ----------
    entries
        The pictures of the train part.
    rare
        Share of the pictures that a class should be on; 0 weighs all classes alike.
    shares
        Factor for each source that is not to be drawn as it comes.

    Returns
    -------
    NDArray
        Shape (pictures,); the sum is how many pictures an epoch has.

    Examples
    --------
    >>> from maskwatch.messages import MarkedFace
    >>> def entry(source, label):
    ...     return Entry(label, "", source, 1, 1, "", "train", (MarkedFace(label, (0, 0, 1, 1)),))
    >>> rows = [entry("crowd", "with_mask")] * 3 + [entry("crowd", "mask_weared_incorrect")]
    >>> weights(rows, 1.0, {}).round(2).tolist()
    [1.15, 1.15, 1.15, 2.0]
    >>> weights([entry("portraits", "with_mask")] * 2, 0, {"portraits": 0.5}).tolist()
    [0.5, 0.5]
    """
    shown = Counter(label for entry in entries for label in {face.label for face in entry.faces})
    factor = {label: max(1.0, (rare * len(entries) / count) ** 0.5) for label, count in shown.items()}
    return np.array(
        [
            shares.get(entry.source, 1.0) * max((factor[face.label] for face in entry.faces), default=1.0)
            for entry in entries
        ]
    )
