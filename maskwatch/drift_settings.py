"""The settings of drift: the monitor, who is told, and which frames people are asked to label."""

from pydantic import Field, SecretStr, model_validator

from maskwatch.settings_group import Group


class LeastChange(Group):
    """How far a signal must have moved on average before anybody cares, in its own unit; 0 asks for no such thing."""

    brightness: float = Field(0.08, ge=0, description="of 1: a sixth of the light of an ordinary picture")
    contrast: float = Field(0.04, ge=0, description="standard deviation of luma, of 0.5 at most")
    sharpness: float = Field(0.02, ge=0, description="mean absolute Laplacian over the deviation of luma")
    colour: float = Field(0.03, ge=0, description="of red against blue, -1..1")
    blockiness: float = Field(0.1, ge=0, description="steps at the borders of blocks over those within them")
    face_size: float = Field(0.02, ge=0, description="of the picture's side")
    score: float = Field(0.03, ge=0, description="of 1")
    without_mask: float = Field(0.1, ge=0, description="share of the faces")
    incorrect: float = Field(0.05, ge=0, description="share of the faces")
    faces: float = Field(0.5, ge=0, description="faces a frame")
    agreement: float = Field(0.1, ge=0, description="F1, of 1")


class DriftSettings(Group):
    """The monitor that notices when the world has changed."""

    sample_s: float = Field(
        2,
        gt=0,
        description="of each camera one frame in so many seconds is a sample: frames next to each other are alike",
    )
    reference: int = Field(300, ge=20, description="samples from which a camera's reference is learned")
    least: int = Field(20, ge=5, description="samples that a change must have lasted for, at least")
    most: int = Field(240, ge=10, description="newest samples that are compared with the reference, at most")
    effect: float = Field(0.2, ge=0, lt=1, description="Kolmogorov-Smirnov's D under which nothing counts as drift")
    least_change: LeastChange = LeastChange()
    every: int = Field(5, ge=1, description="samples between two comparisons")
    persist: int = Field(3, ge=1, description="comparisons in a row that must find a drift before it is one")
    budget: float = Field(1, gt=0, description="false episodes that each camera may have in a month")
    confirm_labels: int = Field(
        30, ge=5, description="people's labels of an episode that can confirm it, and as many from before it"
    )
    confirm_drop: float = Field(
        0.05, ge=0, lt=1, description="agreement with people must have fallen by more than this, by its lower bound"
    )
    cooldown_s: float = Field(900, ge=0, description="so soon after an episode another raises no alert, in seconds")
    adopt_s: float = Field(86_400, gt=0, description="what an episode shows for so long becomes the new reference")
    summary_s: float = Field(60, gt=0, description="a record of signals.v1 spans so many seconds")
    instance: str = Field(
        "", description="static member id, one per process: its restart keeps its partitions; empty: a dynamic member"
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> "DriftSettings":
        if not self.least <= self.most:
            raise ValueError(f"drift.least {self.least} is more than drift.most {self.most}")
        return self


class AlertSettings(Group):
    """Who is told of an episode."""

    webhook: SecretStr = Field(
        SecretStr(""), description="https://… that every alert is posted to; empty: the log alone"
    )
    secret: SecretStr = Field(SecretStr(""), description="key of the HMAC-SHA256 that signs what is posted")
    timeout_s: float = Field(5, gt=0, le=20, description="longest wait for the webhook's answer, in seconds")
    attempts: int = Field(5, ge=1, le=20, description="tries of one alert, with growing pauses between")


class SamplingSettings(Group):
    """Which frames people are asked to label."""

    per_day: int = Field(200, ge=0, description="frames of each camera a day at most; 0 chooses none")
    drift_share: float = Field(
        0.6, ge=0, le=1, description="share of them that is kept for when the camera is in drift"
    )
    drift_every_s: float = Field(10, ge=0, description="seconds between those, at least")
    near: float = Field(0.15, gt=0, lt=1, description="a score so close to detector.score is near the threshold")
    random_share: float = Field(0.1, ge=0, le=1, description="share that is chosen by chance alone, for comparison")
    seed: int = Field(1, description="what is chosen by chance follows from this")
