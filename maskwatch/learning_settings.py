"""The settings of the learning loop: what a candidate must show before it takes the champion's place."""

from pydantic import Field

from maskwatch.settings_group import Group


class GateSettings(Group):
    """What a candidate must show."""

    gain: float = Field(0.01, ge=0, description="mAP50-95 that it must gain on the holdout, more than this")
    certainty: float = Field(0.95, gt=0.5, lt=1, description="probability that it is better there, at least")
    chance: float = Field(
        0.02,
        gt=0,
        lt=1,
        description="share of cases, at most, in which as much is gained when answers are swapped at random: a model "
        "that is no better passes no more often than that",
    )
    pictures: int = Field(30, ge=2, description="pictures of the holdout, fewer cannot judge")
    tolerance: float = Field(
        0.01, ge=0, description="mAP50-95 that it may lose on the frozen test part, and in the other input"
    )
    boxes: int = Field(30, ge=1, description="faces of a class, fewer cannot judge that class")
    class_margin: float = Field(0.05, ge=0, description="AP50 that any class may lose")
    latency_ms: float = Field(20, gt=0, description="median time of a picture that is always good enough")
    slower: float = Field(1.2, ge=1, description="times the champion's median time that is good enough too")


class RetrainSettings(Group):
    """When labels are enough."""

    labels: int = Field(100, ge=1, description="people's labels since the last training that a retrain needs")
