"""Run an exported model: OpenVINO on CPUs, ONNX Runtime with a list of providers elsewhere, behind one interface.

A model is a folder (:mod:`maskwatch.model`) whose files are checked before they are loaded. Post-processing is inside
the graph: RGB bytes go in, faces come out. Serving needs neither torch nor Ultralytics.
"""

import asyncio
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from maskwatch import pictures
from maskwatch.appearance import appearance
from maskwatch.boxes import iou
from maskwatch.errors import ModelError, PictureError, StuckError
from maskwatch.messages import CLASSES, DetectedFace, FrameSignals, ModelRef
from maskwatch.model import ShapeName, check_file, read_card
from maskwatch.precision import choose_precision
from maskwatch.settings import DetectorSettings

Rows = NDArray[np.float32]
"""Shape (faces, 7): picture of the batch, x1, y1, x2, y2 in input pixels, score, class."""

WARN_SHARE = 1 / 3
"""People are warned after this share of the time after which inference counts as stuck."""

FREE_EVERY_S = 0.5
"""Between the networks of a model that is done with: freeing one holds Python's lock for 0.1 s and more."""

GOLDEN_FROM = 0.4
"""Scores that golden answers are written down from, whatever a worker reports from."""
GOLDEN_SCORE = 0.2
GOLDEN_IOU = 0.7
"""The golden answer may differ by this much in score, and overlap this little: precisions differ a bit."""

log = structlog.get_logger(__name__)


class Detected(NamedTuple):
    """A picture that the model looked at, and its faces."""

    width: int
    height: int
    faces: tuple[DetectedFace, ...]
    signals: FrameSignals | None = None


class Refused(NamedTuple):
    """A picture that cannot be looked at, and why."""

    reason: str


class Network(Protocol):
    """A loaded network; `run` is called from several threads at once."""

    pictures_at_once: int
    """How many pictures one call should hold."""

    def run(self, batch: NDArray[np.uint8]) -> Rows:
        """Look at pictures of shape (n, height, width, 3), RGB; blocks."""


class OpenVinoNetwork:
    """A network on the CPU, compiled once for a fixed input; each thread has a request of its own.

    Parameters
    ----------
    path, shape, threads
        ONNX or OpenVINO IR, width and height of the input in pixels, and how many calls run at once.
    half
        Let a CPU that can calculate in BF16, as OpenVINO does of itself: boxes are then off by a fraction of a pixel,
        and without AMX it is slower for a whole network, though quicker for what INT8 leaves in floating point.
    """

    pictures_at_once = 1

    def __init__(self, path: Path, shape: tuple[int, int], threads: int, *, half: bool = False) -> None:
        import openvino  # noqa: PLC0415  # 0.4 s and 60 MB that a process with another runtime does not need

        core = openvino.Core()
        model = core.read_model(path)
        model.reshape([1, shape[1], shape[0], 3])
        cores = max(threads, os.cpu_count() or 1)
        options: dict[str, int | str] = {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": cores}
        if not half:
            options["INFERENCE_PRECISION_HINT"] = "f32"
        self._compiled = core.compile_model(model, "CPU", options)
        self._local = threading.local()

    def run(self, batch: NDArray[np.uint8]) -> Rows:
        """Look at one picture, shape (1, height, width, 3)."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        request.infer([batch], share_inputs=True)
        return np.array(request.get_output_tensor(0).data, dtype=np.float32)


class OnnxNetwork:
    """A network in ONNX Runtime; takes whole batches. Its CUDA and TensorRT providers are untested on a GPU."""

    def __init__(self, path: Path, providers: Sequence[str], batch: int) -> None:
        try:
            import onnxruntime  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise ModelError(
                "detector.runtime is onnxruntime, which is not installed: pip install 'maskwatch[gpu]'"
            ) from error
        available = onnxruntime.get_available_providers()
        missing = [provider for provider in providers if provider not in available]
        if missing:
            raise ModelError(f"ONNX Runtime has no {', '.join(missing)} here; it has {', '.join(available)}")
        self._session = onnxruntime.InferenceSession(str(path), providers=list(providers))
        self.pictures_at_once = 1 if providers[0] == "CPUExecutionProvider" else batch

    def run(self, batch: NDArray[np.uint8]) -> Rows:
        """Look at pictures of shape (n, height, width, 3)."""
        rows: Rows = self._session.run(None, {"pictures": batch})[0]
        return rows


class Calibration(NamedTuple):
    """How fast this machine detects."""

    frames_per_second: float
    precision: str
    runtime: str

    def sentence(self, rate: float = 5.0) -> str:
        """Say it in words, with the number of cameras that it is good for."""
        cameras = int(self.frames_per_second // rate)
        return (
            f"{self.precision.upper()} · {self.frames_per_second:.0f} frames/s on this machine: "
            f"room for {cameras} camera{'' if cameras == 1 else 's'} at {rate:g} frames/s"
        )


class Detector:
    """A model that is ready to look at pictures, with threads of its own.

    Parameters
    ----------
    folder
        Holds ``model.json`` and the files that it names.
    settings
        Runtime, precision, threads, score and limits.

    Raises
    ------
    ModelError
        If the folder is no model, a file is missing or was altered, or the runtime refuses it.
    """

    def __init__(self, folder: Path, settings: DetectorSettings) -> None:
        self.card = read_card(folder)
        self.precision = choose_precision(settings, set(self.card.files))
        self._folder = folder
        self._settings = settings
        file = self.card.files[self.precision]
        self._path = check_file(folder, file.path, file.sha256)
        for name, digest in file.beside.items():
            check_file(folder, name, digest)
        self.ref = ModelRef(self.card.name, self.card.version, file.identity)
        self._networks: dict[ShapeName, Network] = {}
        self._loading = threading.Lock()
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="inference")
        self._calls = 0
        self._freed = asyncio.Event()

    async def detect(self, jpegs: Sequence[bytes], shape: ShapeName) -> list[Detected | Refused]:
        """Look at pictures; the event loop goes on meanwhile.

        Parameters
        ----------
        jpegs
            Any number of JPEGs of any size.
        shape
            ``wide`` for cameras, ``square`` for uploads.

        Returns
        -------
        list
            One outcome a picture, in order. A bad picture harms no neighbour.

        Raises
        ------
        StuckError
            If there is no answer within `stuck_after_s`. Its threads hang from then on, for nobody can end a thread:
            what is left to do is to end the process.
        """
        limit = self._settings.stuck_after_s
        work = asyncio.create_task(self._detect(jpegs, shape))
        try:
            answered, _ = await asyncio.wait([work], timeout=limit * WARN_SHARE)
            if not answered:
                log.warning("inference takes long", pictures=len(jpegs), shape=shape, seconds=limit * WARN_SHARE)
                answered, _ = await asyncio.wait([work], timeout=limit * (1 - WARN_SHARE))
            if not answered:
                raise StuckError(
                    f"inference is stuck: {self.card.name} {self.card.version} on {self._settings.runtime} has looked "
                    f"at {len(jpegs)} {shape} pictures for {limit:g} s (detector.stuck_after_s)"
                )
            return await work
        finally:
            work.cancel()

    async def _detect(self, jpegs: Sequence[bytes], shape: ShapeName) -> list[Detected | Refused]:
        loop = asyncio.get_running_loop()
        # Asked of a thread only once: behind the pictures of others it would have to wait for its turn.
        network = self._networks.get(shape)
        if network is None:
            network = await loop.run_in_executor(self._threads, self.load, shape)
        size = network.pictures_at_once
        pieces = [jpegs[start : start + size] for start in range(0, len(jpegs), size)]
        calls = [loop.run_in_executor(self._threads, self.look, piece, shape) for piece in pieces]
        self._calls += len(calls)
        for call in calls:
            call.add_done_callback(self._ended)
        answers = await asyncio.gather(*calls)
        return [outcome for answer in answers for outcome in answer]

    def _ended(self, _call: "asyncio.Future[list[Detected | Refused]]") -> None:
        self._calls -= 1
        if self._calls < self._settings.threads:
            self._freed.set()

    async def until_free(self, looking: "asyncio.Task[Any]", count: int, shape: ShapeName) -> None:
        """Wait until a thread has nothing to do, or a task that looks is done: others may keep every thread busy.

        Parameters
        ----------
        looking
            Has just been started, and looks by :meth:`detect`.
        count
            At how many pictures.
        shape
            In which shape.
        """
        # Not by `load`: it would hold the event loop up while another shape is compiled.
        network = self._networks.get(shape)
        if network is None or -(-count // network.pictures_at_once) < self._settings.threads:
            return
        self._freed.clear()
        waiting = asyncio.create_task(self._freed.wait())
        try:
            await asyncio.wait([looking, waiting], return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def load(self, shape: ShapeName) -> Network:
        """Compile the network for a shape, once; blocks for a second or so."""
        with self._loading:
            if shape not in self._networks:
                try:
                    self._networks[shape] = self._compile(self.card.shapes[shape])
                except (RuntimeError, ValueError) as error:
                    raise ModelError(f"{self._path} cannot be loaded by {self._settings.runtime}: {error}") from error
            return self._networks[shape]

    def _compile(self, shape: tuple[int, int]) -> Network:
        if self._settings.runtime == "openvino":
            return OpenVinoNetwork(self._path, shape, self._settings.threads, half=self.precision != "fp32")
        return OnnxNetwork(self._path, self._settings.providers, self._settings.batch)

    def look(self, jpegs: Sequence[bytes], shape: ShapeName) -> list[Detected | Refused]:
        """Decode pictures and look at them; blocks. The other half of :meth:`detect`."""
        return self._look(jpegs, shape, self._settings.score)

    def _look(self, jpegs: Sequence[bytes], shape: ShapeName, score: float) -> list[Detected | Refused]:
        network = self.load(shape)
        outcomes: list[Detected | Refused] = []
        inputs: list[pictures.Pixels] = []
        placed: list[tuple[int, Detected, pictures.Affine]] = []
        for jpeg in jpegs:
            try:
                unpacked = pictures.unpack(jpeg, self.card.shapes[shape], self._settings.max_pixels)
            except PictureError as error:
                outcomes.append(Refused(str(error)))
                continue
            pixels, affine = pictures.fit(unpacked, self.card.shapes[shape])
            seen = Detected(*unpacked.size, (), appearance(affine.inside(pixels, unpacked.size), unpacked))
            placed.append((len(outcomes), seen, affine))
            outcomes.append(seen)
            inputs.append(pixels)
        if inputs:
            rows = network.run(np.stack(inputs))
            for index, (place, seen, affine) in enumerate(placed):
                mine = rows[rows[:, 0] == index]
                faces = read_rows(mine, (seen.width, seen.height), affine, score)
                outcomes[place] = seen._replace(faces=faces)
        return outcomes

    def check_golden(self, shape: ShapeName = "wide") -> None:
        """Look at the golden picture and compare; this also warms the network up.

        Raises
        ------
        ModelError
            If the answer is not what was seen when the model was exported.
        """
        golden = self.card.golden
        picture = check_file(self._folder, golden.path, golden.sha256).read_bytes()
        # What was just written down may be told a little less surely here, and is still the same.
        (outcome,) = self._look([picture], shape, GOLDEN_FROM - GOLDEN_SCORE)
        expected = golden.faces[shape]
        if isinstance(outcome, Refused) or not same_faces(expected, outcome.faces, GOLDEN_FROM):
            raise ModelError(
                f"{self.card.name} {self.card.version} answers wrongly on its golden picture "
                f"({self.precision}, {shape}): expected {expected}, got {outcome}"
            )

    def calibrate(self, seconds: float, shape: ShapeName = "wide") -> Calibration:
        """Measure how many golden pictures a second this machine looks at, all threads busy; blocks."""
        picture = (self._folder / self.card.golden.path).read_bytes()
        at_once = self.load(shape).pictures_at_once
        done = [0] * self._settings.threads
        end = time.perf_counter() + seconds

        def work(slot: int) -> None:
            while True:
                self.look([picture] * at_once, shape)
                done[slot] += at_once
                if time.perf_counter() >= end:
                    return

        start = time.perf_counter()
        list(self._threads.map(work, range(self._settings.threads)))
        return Calibration(sum(done) / (time.perf_counter() - start), self.precision, self._settings.runtime)

    def close(self) -> None:
        """Let the threads end; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def free(self) -> None:
        """Close, and free the networks one after the other: what else the process does goes on in between."""
        self.close()
        while self._networks:
            await asyncio.sleep(FREE_EVERY_S)
            self._networks.popitem()


def read_rows(rows: Rows, size: tuple[int, int], affine: pictures.Affine, score: float) -> tuple[DetectedFace, ...]:
    """Turn a network's rows into faces.

    Parameters
    ----------
    rows
        Shape (n, 7), see :data:`Rows`.
    size
        Width and height of the picture in pixels.
    affine
        Where the picture lies in the input.
    score
        Faces under this score are left out.

    Returns
    -------
    tuple of DetectedFace
        Best score first; scores and boxes rounded to 4 digits (0.2 px of a 1080p frame).
    """
    faces = [
        DetectedFace(
            CLASSES[int(row[6])],
            round(float(row[5]), 4),
            tuple(round(side, 4) for side in affine.inverse(tuple(float(x) for x in row[1:5]), size)),  # type: ignore[arg-type]
        )
        for row in rows
        if row[5] >= score
    ]
    return tuple(sorted(faces, key=lambda face: -face.score))


def same_faces(expected: Sequence[DetectedFace], seen: Sequence[DetectedFace], score: float) -> bool:
    """Tell whether two answers mean the same, apart from what precision and input shape may change.

    Faces near the threshold may be missing on either side; every other one must be there with its class, and so must
    the surest one that is expected, however sure that is.
    """
    sure = score + GOLDEN_SCORE
    surest = max((face.score for face in expected), default=sure)

    def answered(faces: Sequence[DetectedFace], by: Sequence[DetectedFace], least: float) -> bool:
        return all(
            any(
                face.label == other.label
                and abs(face.score - other.score) <= GOLDEN_SCORE
                and iou(face.box, other.box) >= GOLDEN_IOU
                for other in by
            )
            for face in faces
            if face.score >= least
        )

    return answered(expected, seen, min(sure, surest)) and answered(seen, expected, sure)
