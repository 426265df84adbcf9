"""When a round of the learning loop starts by itself. Pure: what is known comes in, and so does the time."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from maskwatch.drift_messages import Episode
from maskwatch.learning_settings import RetrainSettings
from maskwatch.model_messages import Run


class Known(NamedTuple):
    """What decides."""

    new: int
    """People's labels since the last round began."""
    episode: datetime | None
    """Start of the newest episode of drift that counts (:func:`newest`)."""
    asked: str | None
    """Why somebody asked for a round that has not begun; empty if no reason was given, None if nobody asked."""
    last: Run | None
    """The newest round that began."""


def due(known: Known, settings: RetrainSettings, now: datetime) -> str:
    """Say why a round starts now.

    Parameters
    ----------
    known
        What there is.
    settings
        How much is enough.
    now
        The time, in UTC.

    Returns
    -------
    str
        The reason, for people; empty if none starts.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    >>> due(Known(120, noon, None, None), RetrainSettings(), noon)
    '120 new labels, and a drift'
    >>> due(Known(99, noon, None, None), RetrainSettings(), noon)
    ''
    """
    last = known.last
    if last is not None and last.state == "running":
        return ""
    if known.asked is not None:
        return known.asked or "asked for"
    rests = last is not None and now - last.updated < timedelta(seconds=settings.cooldown_s)
    new = known.new
    if not settings.automatic or rests or new < settings.labels:
        return ""
    drift = ", and a confirmed drift" if settings.require_confirmation else ", and a drift"
    reasons = [
        (known.episode is not None and (last is None or known.episode > last.started), drift),
        (last is not None and last.started < scheduled(now, settings), ", and the weekly round"),
        (new >= settings.alone, ""),
    ]
    return next((f"{new} new labels{reason}" for holds, reason in reasons if holds), "")


def newest(episodes: Iterable[Episode], settings: RetrainSettings) -> datetime | None:
    """Return when the newest episode began that counts: any, or with `require_confirmation` those that labels confirm.

    Parameters
    ----------
    episodes
        The newest record of each.
    settings
        Whether they must be confirmed.
    """
    counting = (
        episode.started
        for episode in episodes
        if not settings.require_confirmation or (episode.confirmation is not None and episode.confirmation.confirmed)
    )
    return max(counting, default=None)


def scheduled(now: datetime, settings: RetrainSettings) -> datetime:
    """Return when the weekly round was last to start.

    Examples
    --------
    >>> from datetime import UTC
    >>> scheduled(datetime(2026, 11, 29, 1, 59, tzinfo=UTC), RetrainSettings()).isoformat()
    '2026-11-22T02:00:00+00:00'
    >>> scheduled(datetime(2026, 11, 29, 2, 0, tzinfo=UTC), RetrainSettings()).isoformat()
    '2026-11-29T02:00:00+00:00'
    """
    at = now.replace(hour=settings.hour, minute=0, second=0, microsecond=0)
    at -= timedelta(days=(now.weekday() - settings.weekday) % 7)
    return at if at <= now else at - timedelta(days=7)
