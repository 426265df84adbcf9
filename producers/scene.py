"""The demo scene: people walk through changing places, with and without masks, and the truth about each face is known.

It is a source like a camera, so everything behind it can be shown, tested and trained without one. Everything random
follows from the seed, and motion from the clock that it is given: the same seed and times give the same pictures.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskwatch.messages import SceneKnobs
from producers.backdrop import COVER_BOTTOM, COVER_TOP, KINDS, Backdrop, fade, paint_backdrop
from producers.cast import PhotoTroupe
from producers.cutout import LEAST_VISIBLE, Placed, lay, visible_faces
from producers.lens import look_through
from producers.source import Shot
from producers.troupe import DrawnTroupe, Masks, Performer, Troupe

_BACKDROP_SECONDS = 25.0
_FADE_SECONDS = 1.2
_WAYS_TRIED = 8
_WITH_THE_STREAM = 0.8
_LOOK_AHEAD = 0.5
"""Seconds between the moments at which paths are compared."""
_STEPS_PER_SECOND = 1.7


class _Walk(NamedTuple):
    """Somebody on their way; positions are of the cut-out's corner on the frame."""

    performer: Performer
    start: float
    """When `x` was true, by the scene's clock."""
    x: float
    y: int
    speed: float
    """Pixels a second, negative to the left."""

    def at(self, now: float) -> Placed:
        gone = now - self.start
        bob = self.performer.step * abs(float(np.sin(np.pi * _STEPS_PER_SECOND * gone)))
        return Placed(self.performer.cutout, round(self.x + self.speed * gone), round(self.y - bob))

    def end(self, width: int) -> float:
        """Return when nothing of them is left in the frame."""
        way = width - self.x if self.speed > 0 else -self.performer.cutout.width - self.x
        return self.start + way / self.speed

    def last_seen(self, width: int) -> float:
        """Return when their last face has left the frame."""
        faces = [box for _, box in self.performer.cutout.faces]
        edge = min(box[0] for box in faces) if self.speed > 0 else max(box[2] for box in faces)
        way = width - self.x - edge if self.speed > 0 else -self.x - edge
        return self.start + way / self.speed


class Scene:
    """A source of pictures of people, with the truth.

    Parameters
    ----------
    size
        Width and height of the pictures.
    seed
        Everything random follows from it.
    cast
        A Pascal VOC folder whose photographs walk through the scene; people are drawn without one.
    clock
        Seconds that never run backwards, such as `time.monotonic`; `read` shows the moment that it tells.

    Raises
    ------
    SourceError
        If the cast is no Pascal VOC folder, or has no face in it.
    """

    def __init__(
        self,
        size: tuple[int, int] = (1280, 720),
        seed: int = 1,
        cast: Path | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._seed = seed
        self._clock = clock
        self._troupe: Troupe = DrawnTroupe(size) if cast is None else PhotoTroupe(cast, size)
        self._rng = np.random.default_rng(seed)
        self._noise = np.random.default_rng((seed, 1))
        self._order = np.random.default_rng((seed, 2)).permutation(len(KINDS))
        self._started: float | None = None
        self._walks: list[_Walk] = []
        self._lock = threading.Lock()
        self._knobs = SceneKnobs()
        self._crowd = 0
        # The next place and the next person are painted meanwhile, so that the picture never halts for them.
        self._painter = ThreadPoolExecutor(1, "scene-painter")
        self._waiting: Future[Performer] | None = None
        self._entered = 0
        self._places: dict[int, Future[Backdrop]] = {}

    def turn(self, knobs: SceneKnobs) -> None:
        """Turn the knobs, from any thread; the next picture obeys."""
        with self._lock:
            self._knobs = knobs

    def read(self) -> Shot:
        """Return the picture of this moment."""
        now = self._clock()
        if self._started is None:
            self._started = now
        with self._lock:
            knobs = self._knobs
        self._direct(now, knobs)
        frame, cover = self._backdrop(now - self._started)
        walks = sorted(self._walks, key=lambda walk: (not walk.performer.behind_cover, walk.performer.depth))
        scenery = [walk.at(now) for walk in walks]
        floor = round(COVER_BOTTOM * self._size[1])
        far = sum(walk.performer.behind_cover for walk in walks)
        for placed in scenery[:far]:
            lay(frame, placed, floor=floor)
        if far:
            lay(frame, Placed(cover, 0, round(COVER_TOP * self._size[1])))
        for placed in scenery[far:]:
            lay(frame, placed)
        truth = tuple(face for face, share in visible_faces(scenery, self._size) if share >= LEAST_VISIBLE)
        return Shot(look_through(frame, knobs, self._noise), truth)

    def close(self) -> None:
        """Stop painting."""
        self._painter.shutdown(cancel_futures=True)

    def _direct(self, now: float, knobs: SceneKnobs) -> None:
        """Dress those in the picture as the knobs ask, let the gone go and bring others in."""
        width = self._size[0]
        staying = []
        for walk in self._walks:
            if walk.end(width) <= now:
                continue
            performer = walk.performer
            dressed = performer if performer.masks == knobs.masks else self._troupe.dress(performer, knobs.masks)
            if dressed is not None:
                staying.append(walk._replace(performer=dressed))
        present = [walk for walk in staying if walk.last_seen(width) > now]
        # Who asks for more people should not have to wait until they have walked in.
        at_once = knobs.crowd > self._crowd or not present
        if knobs.crowd < self._crowd:
            staying = present = present[: knobs.crowd]
        self._crowd = knobs.crowd
        self._walks = staying
        for _ in range(knobs.crowd - len(present)):
            performer = self._someone_new(knobs.masks)
            self._walks.append(self._plan(performer, now, anywhere=at_once))
        if self._walks and self._waiting is None:
            leaving = min(self._walks, key=lambda walk: walk.end(width))
            others = [walk.performer for walk in self._walks if walk is not leaving]
            self._waiting = self._painter.submit(self._troupe.enter, self._dice(), knobs.masks, others)

    def _someone_new(self, masks: Masks) -> Performer:
        """Call in the one who waits, or else draw somebody now."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            performer = waiting.result()
            dressed = performer if performer.masks == masks else self._troupe.dress(performer, masks)
            if dressed is not None:
                return dressed
        return self._troupe.enter(self._dice(), masks, [walk.performer for walk in self._walks])

    def _dice(self) -> np.random.Generator:
        """Return a generator for the next one who enters."""
        self._entered += 1
        return np.random.default_rng((self._seed, 4, self._entered))

    def _plan(self, performer: Performer, now: float, *, anywhere: bool) -> _Walk:
        """Find a way through the picture on which few faces are hidden."""
        ways = [self._way(performer, now, anywhere=anywhere) for _ in range(_WAYS_TRIED)]
        return min(ways, key=self._hidden)

    def _way(self, performer: Performer, now: float, *, anywhere: bool) -> _Walk:
        width, wide = self._size[0], performer.cutout.width
        # Each lane has its way that most take: they meet less often, so fewer faces are hidden.
        with_the_stream = self._rng.random() < _WITH_THE_STREAM
        way = 1 if (performer.role.lane % 2 == 0) == with_the_stream else -1
        speed = way * (width + wide) / self._rng.uniform(*performer.seconds)
        y = int(self._rng.integers(performer.rows[0], performer.rows[1] + 1))
        if anywhere:
            x = self._rng.uniform(-0.2 * wide, width - 0.8 * wide)
        else:
            ahead = self._rng.uniform(0, 0.15) * width
            x = -wide - ahead if speed > 0 else width + ahead
        return _Walk(performer, now, x, y, speed)

    def _hidden(self, walk: _Walk) -> float:
        """Return how much of faces would be hidden over time if somebody took this way."""
        moments = np.arange(walk.start, walk.end(self._size[0]), _LOOK_AHEAD)
        pairs = (sorted((walk, other), key=lambda one: one.performer.depth) for other in self._walks)
        return sum(_overlap(farther, nearer, moments) for farther, nearer in pairs)

    def _backdrop(self, elapsed: float) -> Backdrop:
        """Return the place of this moment; its picture may be painted on."""
        number = int(elapsed // _BACKDROP_SECONDS)
        for old in [key for key in self._places if key < number - 1]:
            del self._places[old]
        place = self._place(number).result()
        share = (elapsed - number * _BACKDROP_SECONDS) / _FADE_SECONDS
        if number and share < 1:
            return fade(self._place(number - 1).result(), place, share)
        self._place(number + 1)
        return place._replace(image=place.image.copy())

    def _place(self, number: int) -> Future[Backdrop]:
        if number not in self._places:
            rng = np.random.default_rng((self._seed, 3, number))
            kind = int(self._order[number % len(self._order)])
            self._places[number] = self._painter.submit(paint_backdrop, rng, self._size, kind)
        return self._places[number]


def _overlap(farther: _Walk, nearer: _Walk, moments: NDArray[np.float64]) -> float:
    """Return how much of the farther one's faces the nearer one hides, summed over moments."""
    far_x = farther.x + farther.speed * (moments - farther.start)
    near_x = nearer.x + nearer.speed * (moments - nearer.start)
    total = 0.0
    for _, (x1, y1, x2, y2) in farther.performer.cutout.faces:
        for left, top, right, bottom in nearer.performer.hides:
            tall = min(y2 + farther.y, bottom + nearer.y) - max(y1 + farther.y, top + nearer.y)
            wide = np.minimum(far_x + x2, near_x + right) - np.maximum(far_x + x1, near_x + left)
            total += max(0.0, tall) * float(np.clip(wide, 0, None).sum()) / ((x2 - x1) * (y2 - y1))
    return total
