"""What is to be replayed of a recording, and where to, by what a person asked for and what the file holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from maskwatch.errors import SettingsError
from maskwatch.messages import is_camera_id
from maskwatch.recording.contents import Contents
from maskwatch.topics import Name, choose

FRAME_TOPICS = (Name.FRAMES_LIVE, Name.FRAMES_RECORDING)


class Order(NamedTuple):
    """What is to be replayed, and how."""

    file: Path
    names: tuple[Name, ...] = ()
    """Topics of the recording, each published where it came from; empty for the frames, published live."""
    cameras: frozenset[str] = frozenset()
    """Only these, on topics whose key is the camera; all if empty."""
    renamed: Mapping[str, str] = {}
    """New camera ids by the recorded ones."""
    speed: float | None = 1.0
    """Factor on the recorded pace; None for as fast as possible."""
    loop: bool = False
    as_recorded: bool = False
    """Keep the frames' ids: headers byte for byte."""


class Plan(NamedTuple):
    """What an order comes to for one file."""

    into: Mapping[str, Name]
    """Where each topic of the recording that is replayed goes."""
    cameras: Mapping[str, int]
    """Frames by new camera id, of those that are shown live."""
    records: int
    """About how many, for the progress."""


def order(  # noqa: PLR0913  # the command's options
    file: Path,
    names: Sequence[str] = (),
    *,
    cameras: Sequence[str] = (),
    renamed: Sequence[str] = (),
    speed: float = 1.0,
    fast: bool = False,
    loop: bool = False,
    as_recorded: bool = False,
) -> Order:
    """Make an order from what a person asked for.

    Parameters
    ----------
    names
        Topics without the prefix.
    renamed
        Each ``old=new``.

    Raises
    ------
    SettingsError
        If a name is unknown or two wishes contradict each other.
    """
    if fast and speed != 1:
        raise SettingsError("give --speed or --fast, not both")
    new_names: dict[str, str] = {}
    for pair in renamed:
        old, _, new = pair.partition("=")
        if not is_camera_id(old) or not is_camera_id(new):
            raise SettingsError(f"--rename {pair}: give two camera ids, such as --rename door-2=door-2-replay")
        new_names[old] = new
    if new_names and as_recorded:
        raise SettingsError("--rename changes ids, --as-recorded keeps them: give one of them")
    chosen = tuple(topic.name for topic in choose(names))
    if new_names and (others := [name for name in chosen if name not in FRAME_TOPICS]):
        raise SettingsError(f"--rename changes frames only; leave out --topic {others[0]}")
    return Order(
        file, chosen, frozenset(cameras), new_names, None if fast else speed, loop=loop, as_recorded=as_recorded
    )


def plan(asked: Order, contents: Contents) -> Plan:
    """Work out what an order comes to for what is in a file; pure.

    Raises
    ------
    SettingsError
        If the file holds nothing of it; the message says what it holds.
    """
    held = contents.topics
    if asked.names:
        into = {name.value: name for name in asked.names}
    else:
        # The copies kept for a day are frames like any: where there are no others, they are shown live.
        source = Name.FRAMES_LIVE if Name.FRAMES_LIVE.value in held else Name.FRAMES_RECORDING
        into = {source.value: Name.FRAMES_LIVE}
    for name in into:
        if name not in held:
            what = "frames" if not asked.names else name
            holds = ", ".join(f"{topic} ({held[topic].records})" for topic in held) or "nothing"
            raise SettingsError(f"{asked.file} has no {what}; it holds {holds}")
    frames: dict[str, int] = {}
    for name in into:
        for camera, found in held[name].cameras.items():
            frames[camera] = frames.get(camera, 0) + found.frames
    known = ", ".join(sorted(frames)) or "none"
    for camera in (*asked.cameras, *asked.renamed):
        if camera not in frames:
            raise SettingsError(f"{asked.file} has no camera «{camera}»; it has {known}")
    wanted = [camera for camera in frames if not asked.cameras or camera in asked.cameras]
    new = [asked.renamed.get(camera, camera) for camera in wanted]
    if doubles := [camera for camera in new if new.count(camera) > 1]:
        raise SettingsError(f"two cameras would be replayed as «{doubles[0]}»; give each its own id with --rename")
    others = sum(held[name].records - sum(c.frames for c in held[name].cameras.values()) for name in into)
    shown = {
        asked.renamed.get(camera, camera): found.frames
        for name, to in into.items()
        if to is Name.FRAMES_LIVE
        for camera, found in held[name].cameras.items()
        if camera in wanted and is_camera_id(camera)
    }
    return Plan(into, shown, sum(frames[camera] for camera in wanted) + others)
