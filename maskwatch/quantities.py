"""Sizes, durations, times and counts as people write and read them: ``2GB``, ``90s``, ``10m``, ``3 frames``."""

import re
from datetime import datetime, timedelta

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_BYTES = {
    "": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_MINUTE, _HOUR = 60, 3600


def parse_size(text: str) -> int:
    """Read a size.

    Parameters
    ----------
    text
        A number with B, kB, MB, GB, TB (thousands), KiB, MiB, GiB, TiB (1024s) or nothing; capitals do not matter.

    Returns
    -------
    int
        Bytes, at least 1.

    Raises
    ------
    ValueError
        If it is no size; the message shows how one looks.

    Examples
    --------
    >>> parse_size("2GB"), parse_size("1.5 MiB")
    (2000000000, 1572864)
    """
    size = int(_parse(text, _BYTES, "a size, such as 500MB or 2GB"))
    if size < 1:
        raise ValueError(f"{text!r} is no size, such as 500MB or 2GB")
    return size


def parse_duration(text: str) -> float:
    """Read a duration.

    Parameters
    ----------
    text
        A number with s, m (or min), h, d or nothing, which is seconds.

    Returns
    -------
    float
        Seconds, more than 0.

    Raises
    ------
    ValueError
        If it is no duration; the message shows how one looks.

    Examples
    --------
    >>> parse_duration("90s"), parse_duration("10m"), parse_duration("1.5h")
    (90.0, 600.0, 5400.0)
    """
    seconds = _parse(text, _SECONDS, "a duration, such as 90s or 10m")
    if seconds <= 0:
        raise ValueError(f"{text!r} is no duration, such as 90s or 10m")
    return seconds


def parse_moment(text: str, now: datetime) -> datetime:
    """Read a time that has passed.

    Parameters
    ----------
    text
        A time as in RFC 3339, seconds and zone may be left out: without a zone it is this machine's. Or a duration, as
        :func:`parse_duration` reads it: so long ago.
    now
        With its zone.

    Returns
    -------
    datetime
        With a zone, before `now`.

    Raises
    ------
    ValueError
        If it is no time, or one to come; the message shows how one looks.

    Examples
    --------
    >>> from datetime import UTC
    >>> now = datetime(2026, 11, 28, 17, 30, tzinfo=UTC)
    >>> str(parse_moment("2h", now)), str(parse_moment("2026-11-28T17:00Z", now))
    ('2026-11-28 15:30:00+00:00', '2026-11-28 17:00:00+00:00')
    """
    try:
        return now - timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.strip()).astimezone()
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time, such as 2026-11-28T17:00, nor how long ago, such as 2h") from error
    if moment >= now:
        raise ValueError(f"{text!r} is still to come")
    return moment


def say_size(size: float) -> str:
    """Say a size in bytes with three digits at most.

    Examples
    --------
    >>> [say_size(size) for size in (812, 4_100, 48_230_000, 2_000_000_000)]
    ['812 B', '4.1 kB', '48.2 MB', '2 GB']
    """
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):  # noqa: B007  # the last one is used after the loop
        if size < 999.5:  # noqa: PLR2004  # rounds to a thousand
            break
        size /= 1000
    return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f}".removesuffix(".0") + f" {unit}"  # noqa: PLR2004


def say_duration(seconds: float) -> str:
    """Say a duration.

    Examples
    --------
    >>> [say_duration(seconds) for seconds in (0.5, 60, 754, 90_061)]
    ['0.5 s', '60 s', '12 min 34 s', '25 h 1 min']
    """
    if seconds < 2 * _MINUTE:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 2 * _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def say_count(number: int, word: str) -> str:
    """Say how many there are of something.

    Examples
    --------
    >>> say_count(1, "frame"), say_count(2, "frame")
    ('1 frame', '2 frames')
    """
    return f"{number} {word}{'' if number == 1 else 's'}"


def _parse(text: str, units: dict[str, int], kind: str) -> float:
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[2].lower() not in units:
        raise ValueError(f"{text!r} is not {kind}")
    return float(found[1]) * units[found[2].lower()]
