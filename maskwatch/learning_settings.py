"""The settings of the learning loop: when a round starts, and what a candidate must show to become the champion."""

from pathlib import Path

from pydantic import Field

from maskwatch.label_settings import FROZEN
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
        0.01,
        ge=0,
        description="mAP50-95 that it may lose on the frozen test part, in the other input, and without any one source",
    )
    boxes: int = Field(30, ge=1, description="faces of a class, fewer cannot judge that class")
    class_margin: float = Field(0.05, ge=0, description="AP50 that any class may lose")
    shadow: bool = Field(
        default=False, description="let the candidate look at recorded frames beside the champion before it is judged"
    )
    shadow_frames: int = Field(200, ge=20, description="recorded frames that both look at, at most")
    latency_ms: float = Field(20, gt=0, description="median time of a picture that is always good enough")
    slower: float = Field(1.2, ge=1, description="times the champion's median time that is good enough too")


class RolloutSettings(Group):
    """How a model is watched once it serves."""

    watch_hours: float = Field(
        24, ge=0, description="after a promotion the model before looks on for so long; 0: not at all"
    )
    shadow_share: float = Field(0.05, ge=0, le=1, description="share of the live frames at which it looks too")
    lost: float = Field(
        0.25, ge=0, lt=1, description="share of the faces that may be lost before a model is rolled back by itself"
    )
    worse: float = Field(0.05, ge=0, lt=1, description="agreement with people that may be lost before it is")
    chance: float = Field(
        0.01, gt=0, lt=1, description="that a promoted model which is no worse is rolled back, at most"
    )
    automatic: bool = Field(default=True, description="roll back by itself; without it that is only logged")


class RetrainSettings(Group):
    """When labels are enough, and what is made of them."""

    labels: int = Field(100, ge=1, description="people's labels since the last round that a round needs")
    alone: int = Field(500, ge=1, description="so many are enough without an episode of drift and without the schedule")
    require_confirmation: bool = Field(
        default=False, description="an episode counts once people's labels have confirmed it (drift.confirm_labels)"
    )
    weekday: int = Field(6, ge=0, le=6, description="of the weekly round; 0 is Monday, 6 Sunday")
    hour: int = Field(2, ge=0, le=23, description="of the weekly round, in UTC; missed, it is made up for")
    cooldown_s: float = Field(3600, ge=0, description="from the end of a round to the next, in seconds")
    attempts: int = Field(5, ge=1, description="starts of one round, after each of which it goes on where it was")
    automatic: bool = Field(default=True, description="start rounds by themselves; without it only when asked")
    base: Path | None = Field(
        FROZEN,
        description="manifest of the base set, which is rehearsed and judges where its pictures lie here; elsewhere "
        "people are drawn to be rehearsed",
    )
    rehearsal: int = Field(400, ge=1, description="pictures of earlier trainings that are rehearsed at most")
    burst_s: float = Field(60, gt=0, description="a camera's frames of so many seconds are alike: all teach or judge")
    epochs: int = Field(10, ge=1, description="of a round")
    image_size: int = Field(416, ge=32, le=2048, description="pixels of the long side while it trains")
    learning_rate: float = Field(0.0003, gt=0, le=1, description="of AdamW at its height")
    seed: int = Field(1, description="what is chosen by chance follows from this")
