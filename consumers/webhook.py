"""Posting an alert to an address: signed, within a bound of time, tried again with growing pauses.

``Maskwatch-Signature: t=1762000000,v1=…`` holds the time of sending and the HMAC-SHA256, as hex digits, of that number,
a dot and the body, by the key ``alerts.secret``. Whoever receives it computes the same and refuses old times.
"""

import asyncio
import hashlib
import hmac
import http.client
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import structlog

from consumers.retrying import pause
from maskwatch.drift_settings import AlertSettings
from maskwatch.errors import SettingsError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 8.0
LONGEST_S = 45.0
"""For all tries of one alert together: the group takes a member that polls no more for dead after 60 s."""

TEMPORARY = frozenset({408, 425, 429})
"""Answers under 500 after which it is tried again."""

log = structlog.get_logger(__name__)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Does not follow: a POST would become a GET without its body, and whoever answered that has heard of nothing."""

    def redirect_request(self, *_: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects)


def signature(secret: str, body: bytes, at: int) -> str:
    """Sign a body.

    Parameters
    ----------
    secret
        The key.
    body
        What is posted.
    at
        Seconds since the epoch.

    Examples
    --------
    >>> signature("key", b"{}", 1762000000)[:32]
    't=1762000000,v1=622817ba4461aa92'
    """
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Webhook:
    """Where alerts are posted to.

    Parameters
    ----------
    settings
        Address, key, time-out and number of tries.

    Raises
    ------
    SettingsError
        If the address is none that can be posted to.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._url = settings.webhook.get_secret_value()
        try:
            parts = urlsplit(self._url)
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError("alerts.webhook is no http:// or https:// address")
        if parts.username is not None:
            # It would be sent nowhere, and be told by whoever finds fault with the address.
            raise SettingsError("alerts.webhook must not name a user: put a token into its path, or set alerts.secret")
        self.host = parts.hostname
        """For logs: the address itself may hold a password."""

    async def post(self, body: bytes, identity: str, stop: asyncio.Event) -> bool:
        """Post a JSON body until it is taken, or until it is given up; return whether it was taken.

        Parameters
        ----------
        body
            JSON.
        identity
            The alert's id, by which a receiver knows what it has got twice.
        stop
            Set when it is time to end: no other try is made then.
        """
        wait_s = FIRST_PAUSE_S
        until = time.monotonic() + LONGEST_S - self._settings.timeout_s
        for attempt in range(1, self._settings.attempts + 1):
            why, again = await asyncio.to_thread(self._try, body, identity)
            if not why:
                return True
            last = not again or attempt == self._settings.attempts or time.monotonic() + wait_s > until or stop.is_set()
            log.warning("webhook did not take an alert", host=self.host, alert=identity, error=why, given_up=last)
            if last:
                break
            await pause(stop, wait_s)
            wait_s = min(2 * wait_s, LONGEST_PAUSE_S)
        return False

    def _try(self, body: bytes, identity: str) -> tuple[str, bool]:
        """Post once; say what was wrong, and whether it is worth another try."""
        headers = {"content-type": "application/json", "user-agent": "maskwatch", "maskwatch-alert": identity}
        if secret := self._settings.secret.get_secret_value():
            headers["maskwatch-signature"] = signature(secret, body, int(time.time()))
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310  # the scheme was checked
        try:
            with _OPENER.open(request, timeout=self._settings.timeout_s):
                return "", False
        except urllib.error.HTTPError as error:
            error.close()
            return (
                f"status {error.code}",
                error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or error.code in TEMPORARY,
            )
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}", True
