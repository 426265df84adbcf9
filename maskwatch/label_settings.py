"""The settings of labels, and of where pictures are kept."""

from pathlib import Path

from pydantic import Field

from maskwatch.settings_group import Group

FROZEN = Path(__file__).resolve().parents[1] / "data" / "manifests" / "base.json"
"""The manifest that comes with the shipped model."""


class StoreSettings(Group):
    """Where pictures are kept, by their content."""

    url: str = Field("", description="file:///… or s3://…, whatever fsspec reaches; empty: store/ beside the data")
    timeout_s: float = Field(10, gt=0, description="longest wait for one file, in seconds")


class LabelSettings(Group):
    """What people say about pictures."""

    lease_s: float = Field(120, ge=5, description="so long a frame is one person's, unless their page asks again")
    queue: int = Field(1000, ge=8, description="newest requests that are offered at most")
    least_side: float = Field(3, gt=0, description="pixels that a side of a box has at least")
    per_source: int = Field(
        5000, ge=1, description="labels of one source (camera, import, program) at most: one more is refused"
    )
    frozen: Path | None = Field(
        FROZEN, description="manifest whose test part is frozen: what looks like it is refused; empty refuses nothing"
    )
    pseudo: bool = Field(
        default=False, description="let a model label frames of whose faces it is sure; they only count as rehearsal"
    )
    pseudo_score: float = Field(0.8, gt=0, lt=1, description="every face of such a frame has a higher score")
    pseudo_per_day: int = Field(50, ge=1, description="such frames of each camera a day, at most")
    blur: bool = Field(
        default=False, description="show the faces of labelled frames and of an episode's pictures as a mosaic"
    )
    days: int = Field(0, ge=0, description="labels and their pictures are erased after so many days; 0: never")
