"""What training raises, all of it under one root.

TrainingError (a MaskwatchError, so that the command line says it in one line)
├── CatalogueError   a folder of annotated pictures cannot be read
├── ManifestError    a manifest is missing, malformed or empty where it must not be
├── TrackingError    MLflow is missing, away or refuses; or a journal of a training cannot be read
│   ├── TrackingAwayError     MLflow gives no answer: what was to be said is kept, and said later
│   └── TrackingRefusedError  MLflow does not take this, and never will
├── StageOverError   a training was ended before its end, and goes on when it is started again
├── DivergedError    a training's loss is not a number
├── EvaluationError  a model cannot be judged on these pictures
├── GateError        what is to be judged is no candidate
└── ExportError      the exported model does not answer as the checkpoint did
"""

from maskwatch.errors import MaskwatchError


class TrainingError(MaskwatchError):
    """Anything that stops a data set, a training or an export."""


class CatalogueError(TrainingError):
    """A folder of annotated pictures cannot be read."""


class ManifestError(TrainingError):
    """A manifest is missing, malformed or empty where it must not be."""


class ExportError(TrainingError):
    """The exported model does not answer as the checkpoint did."""


class TrackingError(TrainingError):
    """MLflow is missing, away or refuses; or a journal of a training cannot be read."""

    exit_code = 69  # EX_UNAVAILABLE


class TrackingAwayError(TrackingError):
    """MLflow gives no answer: what was to be said is kept, and said later."""

    exit_code = 75  # EX_TEMPFAIL


class TrackingRefusedError(TrackingError):
    """MLflow does not take this, and never will."""

    exit_code = 65  # EX_DATAERR


class StageOverError(TrainingError):
    """A training was ended before its end, and goes on when it is started again."""

    exit_code = 75  # EX_TEMPFAIL


class DivergedError(TrainingError):
    """A training's loss is not a number."""


class EvaluationError(TrainingError):
    """A model cannot be judged on these pictures."""


class GateError(TrainingError):
    """What is to be judged is no candidate for the champion's place."""
