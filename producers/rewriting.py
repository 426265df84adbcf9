"""What a replayed frame's headers say: everything as recorded, but of a session of its own.

Whoever has seen the recorded frames must take the replayed ones for new: ids follow from camera, session and sequence.
Each session of the recording becomes a new one in each round, so that the sequences of two never meet.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from maskwatch.recording.format import Recorded

Headers = tuple[tuple[str, bytes], ...]


class Rewriter:
    """Gives recorded frames new sessions and, where asked, other cameras; for one round of a replay.

    Parameters
    ----------
    renamed
        New camera ids by the recorded ones.
    """

    def __init__(self, renamed: Mapping[str, str]) -> None:
        self._renamed = {old.encode(): new.encode() for old, new in renamed.items()}
        # As capture names its sessions.
        self._began = f"{datetime.now(UTC):%Y%m%dt%H%M%S}"
        self._sessions: dict[tuple[bytes, bytes], bytes] = {}

    def key(self, record: Recorded) -> bytes | None:
        """Return a frame's key for the replay: its camera."""
        return None if record.key is None else self._renamed.get(record.key, record.key)

    def headers(self, record: Recorded) -> Headers:
        """Return a frame's headers for the replay; all but camera, session and what follows from them are kept."""
        found = dict(record.headers)
        camera, session, sequence = (found.get(f"ce_{name}") for name in ("camera", "session", "sequence"))
        if camera is None or session is None or sequence is None:
            # No frame that anybody could read: it is refused now as it was then.
            return record.headers
        new_camera = self._renamed.get(camera, camera)
        new_session = self._session(camera, session)
        new = {
            "ce_camera": new_camera,
            "ce_session": new_session,
            "ce_id": b":".join((new_camera, new_session, sequence)),
        }
        if found.get("ce_source") == b"/cameras/" + camera:
            new["ce_source"] = b"/cameras/" + new_camera
        return tuple((name, new.get(name, value)) for name, value in record.headers)

    def _session(self, camera: bytes, recorded: bytes) -> bytes:
        made = self._sessions.get((camera, recorded))
        if made is None:
            made = self._sessions[camera, recorded] = f"{self._began}-{secrets.token_hex(4)}".encode()
        return made
