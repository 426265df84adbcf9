"""What Maskwatch raises on purpose, all of it under one root.

MaskwatchError
├── SettingsError     a setting is unknown, malformed or contradicts another
├── MessageError      a record is not what its topic promises
├── BrokerError       Kafka cannot be reached
│   └── RefusedError      it is there, and refuses
├── StoreError        Valkey, or where pictures are kept, cannot be reached, or refuses
├── StackError        a part of the embedded stack cannot be fetched, started or kept up
│   └── AlreadyRunningError  another process runs it already
├── SourceError       a camera, clip or folder cannot be opened or read
├── ModelError        a model is missing, altered, or cannot be loaded
├── StuckError        something hangs that cannot be ended from within the process
├── AnnotationError   an annotation of a photograph cannot be read
├── RecordingError    a file is no recording that can be read
│   └── RecordingCutError  it ends in the middle; all before was read
├── RecordingWriteError  a recording cannot be begun, or written on
└── PictureError      bytes that are no picture that we accept

The command line prints the message of any of them and exits with the class's `exit_code` (sysexits.h).
"""

import difflib
from collections.abc import Iterable


class MaskwatchError(Exception):
    """The root: its message names the thing, the likely cause and the remedy."""

    exit_code = 1


class SettingsError(MaskwatchError):
    """A setting is unknown, malformed or contradicts another."""

    exit_code = 78  # EX_CONFIG


class MessageError(MaskwatchError):
    """A record is not what its topic promises."""

    exit_code = 65  # EX_DATAERR


class BrokerError(MaskwatchError):
    """Kafka cannot be reached, or refuses."""

    exit_code = 69  # EX_UNAVAILABLE


class RefusedError(BrokerError):
    """Kafka is there and does not let us in, or not do what we want: trying again changes nothing."""


class StoreError(MaskwatchError):
    """Valkey cannot be reached, or refuses."""

    exit_code = 69  # EX_UNAVAILABLE


class StackError(MaskwatchError):
    """A part of the embedded stack cannot be fetched, started or kept up."""

    exit_code = 69  # EX_UNAVAILABLE


class AlreadyRunningError(StackError):
    """Another process runs the embedded stack on this data folder."""

    exit_code = 75  # EX_TEMPFAIL


class SourceError(MaskwatchError):
    """A camera, clip or folder cannot be opened or read."""

    exit_code = 66  # EX_NOINPUT


class ModelError(MaskwatchError):
    """A model is missing, altered, or cannot be loaded."""

    exit_code = 66  # EX_NOINPUT


class StuckError(MaskwatchError):
    """Something hangs that cannot be ended from within the process, which therefore ends itself."""

    exit_code = 70  # EX_SOFTWARE


class AnnotationError(MaskwatchError):
    """An annotation of a photograph cannot be read."""

    exit_code = 65  # EX_DATAERR


class PictureError(MaskwatchError):
    """Bytes that are no picture that we accept."""

    exit_code = 65  # EX_DATAERR


class RecordingError(MaskwatchError):
    """A file is no recording that can be read."""

    exit_code = 66  # EX_NOINPUT


class RecordingCutError(RecordingError):
    """A recording ends in the middle; all that is whole was read before this was raised.

    Attributes
    ----------
    records : int
        How many records are whole.
    seconds : float
        From the time of the first record to the latest.
    """

    exit_code = 65  # EX_DATAERR

    def __init__(self, message: str, records: int, seconds: float) -> None:
        super().__init__(message)
        self.records = records
        self.seconds = seconds


class RecordingWriteError(MaskwatchError):
    """A recording cannot be begun, or written on."""

    exit_code = 73  # EX_CANTCREAT


def expected(error: Exception) -> MaskwatchError | None:
    """Return the first of a group's errors, if all are such as are raised on purpose; None otherwise.

    Examples
    --------
    >>> expected(ExceptionGroup("both", [BrokerError("away"), StoreError("away too")]))
    BrokerError('away')
    >>> expected(ExceptionGroup("both", [BrokerError("away"), KeyError("a bug")])) is None
    True
    """
    if isinstance(error, ExceptionGroup):
        found = [expected(one) for one in error.exceptions]
        return found[0] if all(found) else None
    return error if isinstance(error, MaskwatchError) else None


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str) -> str:
    """Say which of the known names was most likely meant, for the end of a message.

    Parameters
    ----------
    name
        What a person wrote.
    known
        What can be written there.
    otherwise
        What to say if nothing is near.

    Examples
    --------
    >>> did_you_mean("frames.life.v1", ["scene.v1", "frames.live.v1"], otherwise="")
    'did you mean frames.live.v1?'
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else otherwise
