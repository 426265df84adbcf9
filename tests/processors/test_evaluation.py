"""What is evaluated: that it counts right, and that a recording goes all the way to a table."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from maskwatch.cli import main
from maskwatch.drift_messages import SIGNALS
from maskwatch.drift_settings import DriftSettings
from maskwatch.errors import RecordingError
from maskwatch.inference import Detector
from maskwatch.settings import Settings
from processors import evaluation, material
from processors.evaluation import Delay
from processors.material import PLAIN, Variant
from processors.signals import Samples
from tests.support.models import another
from tests.support.recordings import frame, written
from tests.support.traffic import GOLDEN

QUICK = DriftSettings(reference=60, least=10, most=40, every=5, persist=2, budget=1000)
RANDOM = np.random.default_rng(1)
PLACES: Samples = RANDOM.normal(0.5, 0.05, (400, len(SIGNALS))).astype(np.float32)
DARK: Samples = (PLACES * np.array([0.3, *[1.0] * (len(SIGNALS) - 1)])).astype(np.float32)


def test_a_change_is_noticed_and_its_signal_named() -> None:
    before, after = evaluation.independent(PLACES), evaluation.independent(DARK)
    delay = evaluation.change(before, after, QUICK, seed=1)
    assert delay.samples is not None
    assert 5 <= delay.samples <= 40
    assert (delay.first, delay.before) == ("brightness", 0)
    assert evaluation.change(before, before, QUICK, seed=1).samples is None
    noticed = evaluation.river_delay("ADWIN", before, after, QUICK, seed=1)
    assert noticed is not None
    assert noticed <= evaluation.PATIENCE


def test_a_world_that_changes_by_itself_has_false_episodes() -> None:
    still = evaluation.in_blocks(PLACES, 5)
    assert evaluation.stationary(still, DriftSettings(), 1000, seed=1) == []
    halves = iter([PLACES] * 3 + [DARK] * 3)
    found = evaluation.stationary(lambda _: next(halves)[:200], QUICK, 1000, seed=1)
    assert [one.episode.kind for one in found] == ["input"]
    assert 600 < found[0].sample < 660


def test_a_world_is_mixed_of_two() -> None:
    both = evaluation.mixed(evaluation.independent(PLACES), evaluation.independent(DARK), 0.25)
    brightness = np.concatenate([both(np.random.default_rng(seed))[:, 0] for seed in range(20)])
    assert (brightness < 0.3).mean() == pytest.approx(0.25, abs=0.05)


def test_rivers_alarms_are_counted() -> None:
    assert evaluation.river("ADWIN", evaluation.independent(PLACES), 500, seed=1) <= 3
    assert evaluation.river("KSWIN", evaluation.independent(PLACES), 150, seed=1) >= 0


def test_days_and_nights_are_learned() -> None:
    slow = DriftSettings(sample_s=60, reference=60, least=10, most=40)
    found = evaluation.days(evaluation.independent(PLACES), evaluation.independent(DARK), slow, 4, seed=1)
    # The first nightfall is news, and nothing after the second day.
    assert found[0].episode.kind == "input"
    assert all(one.sample * 60 < 2 * 86_400 for one in found)


def test_delays_are_told_by_median_worst_and_misses() -> None:
    delays = [Delay(10, "score"), Delay(30, "score"), Delay(20, "faces"), Delay(None)]
    assert evaluation.told(delays) == (20, 30, 1, "score")
    assert evaluation.told([Delay(None)])[2:] == (1, "")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    from tests.support.traffic import HEIGHT, WIDTH  # noqa: PLC0415

    assert (WIDTH, HEIGHT) > (0, 0)
    frames = [frame(sequence=number, at_ms=number * 2000, jpeg=GOLDEN) for number in range(3)]
    return written(tmp_path / "visit.mcap", frames)


async def test_pictures_are_looked_at_once_even_if_it_was_stopped(recorded: Path) -> None:
    settings = Settings()
    detector = Detector(settings.detector.model, settings.detector)
    try:
        variants = (PLAIN, Variant("dim", 3), Variant("patterned_masks", 3))
        stop = asyncio.Event()
        await material.look(recorded, detector, variants, stop, lambda done: stop.set() if done == 1 else None)
        first = material.read(recorded)
        assert [(one.change, one.strength) for one in first] == [(None, None), ("dim", 3), ("patterned_masks", 3)]
        # Killed in the middle of a line.
        kept = material.kept_beside(recorded)
        kept.write_bytes(kept.read_bytes() + b'{"detection":')
        told: list[int] = []
        assert await material.look(recorded, detector, variants, asyncio.Event(), told.append) == 3
        assert told == [2, 3]
        looked = material.read(recorded)
        assert looked[:3] == first
        assert len(looked) == 9
        plain, dim = (one.detection.signals for one in looked[:2])
        assert plain is not None
        assert dim is not None
        assert dim.brightness == pytest.approx(0.15 * plain.brightness, rel=0.1)
        printed = looked[2].detection.signals
        assert printed is not None
        # Only what is worn has changed.
        assert printed != plain
        assert printed.brightness == pytest.approx(plain.brightness, rel=0.1)
    finally:
        detector.close()


async def test_what_was_seen_is_known_by_frame_variant_and_model(tmp_path: Path) -> None:
    told: list[int] = []
    jpegs = (GOLDEN, b"no picture", GOLDEN)
    file = written(tmp_path / "v.mcap", [frame(sequence=n, at_ms=n * 2000, jpeg=jpeg) for n, jpeg in enumerate(jpegs)])
    first, second = (
        Detector(folder, Settings().detector)
        for folder in (Settings().detector.model, another(tmp_path / "m", "other"))
    )

    def seen(by: Detector) -> list[tuple[int, str | None]]:
        return [(one.detection.frame.sequence, one.change) for one in material.read(file, by.ref)]

    try:
        for detector, variants in ((first, (PLAIN,)), (first, (PLAIN, Variant("dim", 3))), (second, (PLAIN,))):
            # Stopped and begun again, and then there is nothing left to do.
            for _ in range(2):
                assert await material.look(file, detector, variants, asyncio.Event(), told.append) == 3
        assert seen(first) == [(0, None), (2, None), (0, "dim"), (2, "dim")]
        assert seen(second) == [(0, None), (2, None)]
    finally:
        first.close()
        second.close()


async def test_what_is_no_recording_is_refused_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("no recording")
    settings = Settings()
    detector = Detector(settings.detector.model, settings.detector)
    try:
        with pytest.raises(RecordingError):
            await material.look(other, detector, (PLAIN,), asyncio.Event(), print)
    finally:
        detector.close()
    assert not material.kept_beside(other).exists()
    with pytest.raises(RecordingError, match="cannot be read"):
        material.read(other)


def test_the_command_prints_tables_and_json(recorded: Path) -> None:
    arguments = ["drift", "evaluate", str(recorded), "--no-changes", "--months", "0.001"]
    shown = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "visit.mcap" in shown.stdout
    assert "too short" in shown.stdout
    answered = CliRunner().invoke(main, [*arguments, "--json"], catch_exceptions=False)
    (was,) = msgspec.json.decode(answered.stdout)["as_it_was"]
    assert was[:4] == ["visit.mcap", "door", 3, 3]
