"""What benchmark and soak say of figures: a run that misses a target, or grows, is told from one that does not."""

from statistics import mean

import pytest

from tests.benchmarks.report import markdown as benchmark_markdown
from tests.benchmarks.results import Ages, Cost, Results, Uploading, Use, promises
from tests.benchmarks.soak import Moment, Sample, Soak, markdown
from tests.support.machine import this_machine


def a_run() -> Results:
    """A run that keeps every target, with nothing to spare."""
    return Results(
        machine=this_machine(),
        recording="none",
        bare=[100.0, 50.0],
        piped=[70.0, 35.0],
        rivals={"torch": [35.0, 17.5], "openvino": [63.0, 31.0]},
        idle={"kafka": Use(190, 7.0), "api": Use(70, 3.0)},
        loaded={"detector": Use(300, 130), "api": Use(250, 3)},
        ages=[Ages(50, 30, 30, 40, 250), Ages(100, 60, 55, 200, 250), Ages(300, 180, 40, 150, 400)],
        costs=[Cost(1, 30, 90), Cost(32, 30, 110)],
        uploads=[Uploading(17, 17, 0, 50, 200)],
        bare_uploads=50.0,
        upload_capacity=40.0,
        uploads_beside=Uploading(0, 10, 0, 2000, 3000),
        detected_beside=45.0,
    )


def missed(run: Results) -> list[str]:
    return [promise.what for promise in promises(run) if not promise.kept]


def test_a_run_at_its_targets_keeps_them() -> None:
    assert missed(a_run()) == []
    assert len(promises(a_run())) == 13


def test_each_target_can_be_missed() -> None:
    run = a_run()
    run.piped = [69.0, 34.0]
    run.rivals = {"torch": [35.0, 17.5], "openvino": [64.0, 32.0]}
    run.idle = {"kafka": Use(190, 7.1), "api": Use(70, 3.0)}
    run.loaded = {"detector": Use(301, 130), "api": Use(251, 3)}
    run.ages = [Ages(ages.load, ages.offered, ages.shown, ages.p50_ms, ages.p95_ms + 1) for ages in run.ages]
    run.costs = [Cost(1, 30, 89), Cost(32, 30, 111)]
    run.uploads = [Uploading(17, 17, 1, 50, 201)]
    run.detected_beside = 46.0
    assert len(missed(run)) == len(promises(run))


def test_uploads_that_nobody_answered_are_a_missed_target_and_not_a_broken_run() -> None:
    run = a_run()
    run.uploads = [Uploading(17, 0.0, 5100, None, None)]
    assert [what.partition(", ")[2] for what in missed(run)] == ["p95", "not answered"]
    assert "| 17.0 offered" in benchmark_markdown(run)
    assert "| no answers | no answers |" in benchmark_markdown(run)


def an_hour(**growth: float) -> Soak:
    """An hour of moments in which a process, and the lag, grow by so much an hour after the first quarter."""
    moments = []
    for number in range(361):
        at = 10.0 * number
        # A first quarter of warming up counts for nothing.
        hours = max(0.0, at - 900) / 3600
        warming = min(at, 900) / 10
        own, descriptors, threads, lag = (
            growth.get(what, 0) * hours for what in ("own", "descriptors", "threads", "lag")
        )
        sample = Sample(300 + warming, 100 + warming + own, round(40 + descriptors), 0, round(9 + threads))
        moments.append(Moment(at, {"api": sample}, round(40 + lag), 50 * number))
    return Soak(this_machine(), 54.0, moments)


@pytest.mark.parametrize(
    ("growth", "told"),
    [
        ({}, "nothing"),
        ({"own": 3.0, "lag": 40.0}, "nothing"),
        ({"own": 6.0}, "api: own"),
        ({"descriptors": 4.0}, "api: descriptors"),
        ({"threads": 3.0}, "api: threads"),
        ({"lag": 70.0}, "lag"),
    ],
)
def test_what_grows_in_an_hour_is_named(growth: dict[str, float], told: str) -> None:
    soak = an_hour(**growth)
    assert f"Growing: {told}." in markdown(soak)
    assert soak.falls_behind() == (told == "lag")
    assert soak.lag_per_hour() == pytest.approx(growth.get("lag", 0), abs=2)
    assert mean(moment.lag for moment in soak.settled()) >= 40
