"""What training raises, all of it under one root.

TrainingError
├── CatalogueError   a folder of annotated pictures cannot be read
├── ManifestError    a manifest is missing, malformed or empty where it must not be
└── ExportError      the exported model does not answer as the checkpoint did
"""


class TrainingError(Exception):
    """Anything that stops a data set, a training or an export."""


class CatalogueError(TrainingError):
    """A folder of annotated pictures cannot be read."""


class ManifestError(TrainingError):
    """A manifest is missing, malformed or empty where it must not be."""


class ExportError(TrainingError):
    """The exported model does not answer as the checkpoint did."""
