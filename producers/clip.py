"""What lies on the disk: a video (or an animated GIF) at its own speed, or a folder of pictures one after the other.

Video goes through OpenCV's FFmpeg. In real time a clip's own time stamps say when each frame is due; if the rate asked
for is lower than the clip's, the frames between are passed over.
"""

import time
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import structlog

from maskwatch.errors import SourceError
from producers.cadence import Cadence, Clock, Wait
from producers.source import Image, Shot

JPEGS = frozenset({".jpeg", ".jpg"})
PICTURES = JPEGS | {".bmp", ".png", ".tif", ".tiff", ".webp"}
USUAL_RATE = 25.0
LATEST_S = 1.0
"""A clip that is later than this goes on from now: it plays slower, and nothing is rushed."""

log = structlog.get_logger(__name__)


class Clip:
    """A video file.

    Parameters
    ----------
    path
        Anything that FFmpeg reads.
    rate
        Frames a second at most, in the clip's own time.
    loop
        Begin again at the end.
    real_time
        Give each frame when its time has come; else as fast as they can be read.
    clock, wait
        How time passes.

    Raises
    ------
    SourceError
        If there is no such file, or it is no video.
    """

    def __init__(  # noqa: PLR0913  # what a wish says about a clip, and time
        self, path: Path, *, rate: float, loop: bool, real_time: bool, clock: Clock = time.monotonic, wait: Wait
    ) -> None:
        self._path = path
        self._cadence = Cadence(rate)
        self._loop = loop
        self._real_time = real_time
        self._clock = clock
        self._wait = wait
        self._began: float | None = None
        self._earlier_rounds = 0.0
        self._position: float | None = None
        self._video = self._open()
        rate_of_clip = self._video.get(cv2.CAP_PROP_FPS)
        self._step = 1 / (rate_of_clip if 0 < rate_of_clip <= 1000 else USUAL_RATE)  # noqa: PLR2004  # else it is no rate

    def read(self) -> Shot | None:
        """Return the next frame; None at the end, or when told to stop.

        Raises
        ------
        SourceError
            If the file is gone, or nothing in it can be decoded.
        """
        while not self._wait(0.0):
            if not self._video.grab():
                if self._position is None:
                    raise SourceError(f"{self._path} holds no picture that can be read; it may be damaged or cut off")
                if not self._loop:
                    return None
                self._rewind(self._position)
                continue
            moment = self._advance()
            if self._cadence.due(moment):
                if self._real_time and self._wait(self._ahead(moment)):
                    return None
                return self._decode()
        return None

    def close(self) -> None:
        """Close the file."""
        self._video.release()

    def _open(self) -> cv2.VideoCapture:
        if not self._path.is_file():
            raise SourceError(f"no clip at {self._path}")
        # One decoding thread: what many cameras share is better spent on a frame of each.
        video = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        if not video.isOpened():
            video.release()
            raise SourceError(f"{self._path} is no video that FFmpeg reads; «ffprobe {self._path.name}» tells more")
        return video

    def _rewind(self, position: float) -> None:
        # Opened anew: not every format that FFmpeg reads can be wound back.
        self._earlier_rounds += position + self._step
        self._position = None
        self._video.release()
        self._video = self._open()

    def _advance(self) -> float:
        stamp = self._video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self._position is None:
            self._position = max(0.0, stamp)
        else:
            # Some formats have no time stamps, others repeat one.
            self._position = stamp if stamp > self._position else self._position + self._step
        return self._earlier_rounds + self._position

    def _ahead(self, moment: float) -> float:
        now = self._clock()
        if self._began is None or now - self._began - moment > LATEST_S:
            self._began = now - moment
        return max(0.0, self._began + moment - now)

    def _decode(self) -> Shot:
        whole, image = self._video.retrieve()
        if not whole:
            raise SourceError(f"{self._path} has a frame that cannot be decoded; it may be damaged")
        return Shot(np.asarray(image, np.uint8))


class Folder:
    """The pictures of a folder, sorted by name; not those in folders below it.

    Parameters
    ----------
    path
        The folder. Pictures that come later are seen in the next round.
    loop
        Begin again at the end.

    Raises
    ------
    SourceError
        If there is no such folder, or no picture in it.

    Notes
    -----
    A picture that cannot be read, or not to its end, is passed over with one warning.
    """

    def __init__(self, path: Path, *, loop: bool) -> None:
        self._path = path
        self._loop = loop
        self._warned: set[Path] = set()
        self._waiting = self._listed()
        self._any = False

    def read(self) -> Shot | None:
        """Return the next picture; None at the end.

        Raises
        ------
        SourceError
            If the folder is gone, or no picture in it can be read.
        """
        while True:
            while self._waiting:
                file = self._waiting.pop()
                image = _picture(file)
                if image is not None:
                    self._any = True
                    return Shot(image)
                if file not in self._warned:
                    self._warned.add(file)
                    log.warning("picture cannot be read and is passed over", file=str(file))
            if not self._any:
                raise SourceError(f"no picture in {self._path} can be read")
            if not self._loop:
                return None
            self._any = False
            self._waiting = self._listed()

    def close(self) -> None:
        """Nothing is kept open."""

    def _listed(self) -> list[Path]:
        if not self._path.is_dir():
            raise SourceError(f"no folder at {self._path}")
        files = [file for file in self._path.iterdir() if file.suffix.lower() in PICTURES]
        if not files:
            raise SourceError(f"no picture in {self._path}; read are {', '.join(sorted(PICTURES))}")
        return sorted(files, reverse=True)


def _picture(file: Path) -> Image | None:
    try:
        data = file.read_bytes()
        if file.suffix.lower() in JPEGS:
            # OpenCV shows a JPEG that was cut off with the rest in grey. At an eighth of the size this is cheap.
            simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1)
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, ValueError, cv2.error):
        return None
    return None if image is None else np.asarray(image, np.uint8)
