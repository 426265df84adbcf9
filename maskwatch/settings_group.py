"""What every group of settings is."""

from pydantic import BaseModel, ConfigDict


class Group(BaseModel):
    """A frozen group; unknown keys are told of by whoever reads the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")
