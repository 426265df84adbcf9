"""What a verdict says in words, for alerts, pages and the log."""

from maskwatch.model_messages import Condition, Verdict

MOST_SURE = 0.99
"""The largest probability that is said."""


def gained(verdict: Verdict) -> float | None:
    """Return the mAP50-95 that the candidate has gained on the holdout; None where that could not be judged."""
    # Of the conditions that must have been judged, only this one has a value.
    return next((row.value for row in verdict.conditions if row.essential and row.value is not None), None)


def against(verdict: Verdict) -> list[str]:
    """Return the names of the conditions for which the candidate was refused."""
    return [row.name for row in verdict.conditions if row.stops]


def sentence(verdict: Verdict) -> str:
    """Say in one sentence what came of it, and why."""
    gain = gained(verdict)
    found = "nobody can say whether it is better" if gain is None else f"{gain:+.3f} mAP50-95"
    sure = "" if verdict.p_better is None else f", probability better: {_probability(verdict.p_better)}"
    name = f"{verdict.candidate.name} {verdict.candidate.version}"
    if verdict.promote:
        return f"{name} may take the champion's place: {found} on the holdout{sure}"
    return f"{name} is refused: {found} on the holdout{sure}; not met: {', '.join(against(verdict))}"


def _probability(value: float) -> str:
    """Say a probability that was counted over resamples, and so is never sure.

    Examples
    --------
    >>> [_probability(value) for value in (0.001, 0.934, 0.996, 1.0)]
    ['less than 1%', '93%', 'more than 99%', 'more than 99%']
    """
    if value > MOST_SURE:
        return f"more than {MOST_SURE:.0%}"
    return f"{value:.0%}" if value >= 1 - MOST_SURE else f"less than {1 - MOST_SURE:.0%}"


def rows(verdict: Verdict) -> list[str]:
    """Say each condition in one line: what came out, the value with its interval, what was needed, why."""
    return [_row(row) for row in verdict.conditions]


def _row(row: Condition) -> str:
    value = "" if row.value is None else f", {row.value:+.3f}" if row.low is not None else f", {row.value:.1f}"
    bounds = f" ({row.low:+.3f} to {row.high:+.3f})" if row.low is not None and row.high is not None else ""
    why = f"; {row.why}" if row.why else ""
    return f"{row.name}: {row.outcome}{value}{bounds}; needed: {row.needed}{why}"
