"""Opening network cameras: their passwords, and who may name which hosts.

Passwords come sealed and are opened only here. A host that somebody else has named, in ``cameras.v1`` or over HTTP,
must not lead to this machine or to what only it can reach; one that was named on this process's own command line may.
"""

from collections.abc import Collection

import msgspec

from maskwatch.errors import SettingsError, SourceError
from maskwatch.messages import Camera
from maskwatch.sealing import seal, unseal
from maskwatch.settings import Settings
from producers.addresses import Credentials, refuse_hosts, separate
from producers.cadence import Wait
from producers.opening import open_network
from producers.source import Source


class Logins:
    """Opens network cameras for a process.

    Parameters
    ----------
    settings
        Name the key and the networks that may be named.
    own
        Ids of the cameras that this process was started for.
    """

    def __init__(self, settings: Settings, own: Collection[str] = ()) -> None:
        self._settings = settings
        self._own = frozenset(own)

    def open(self, camera: Camera, wait: Wait) -> Source:
        """Open a network camera.

        Raises
        ------
        SourceError
            If its host may not be named, or its password cannot be opened.
        """
        if camera.id in self._own:
            return open_network(camera, wait, self._credentials(camera))
        allowed = self._settings.capture.allowed_networks
        refuse_hosts(camera.source, allowed)
        return open_network(camera, wait, self._credentials(camera), allowed)

    def _credentials(self, camera: Camera) -> Credentials | None:
        if not camera.login:
            return None
        try:
            return msgspec.json.decode(unseal(self._settings, camera.login), type=Credentials)
        except (SettingsError, msgspec.MsgspecError) as error:
            raise SourceError(f"{camera.source}: {error}") from error


def sealed(settings: Settings, source: str) -> tuple[str, str]:
    """Take user and password out of an address, wherever they stand in it, and seal them.

    Returns
    -------
    source, login
        As a :class:`maskwatch.messages.Camera` has them; the login is empty if there are none.

    Raises
    ------
    SourceError
        If the address is none that is read.
    SettingsError
        If there is no key to seal with.
    """
    address, credentials = separate(source)
    return address, "" if credentials is None else seal(settings, msgspec.json.encode(credentials).decode())
