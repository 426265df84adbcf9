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

from maskwatch.drift_settings import AlertSettings
from maskwatch.errors import SettingsError

FIRST_PAUSE_S = 1.0
TEMPORARY = frozenset({408, 425, 429})
"""Answers under 500 after which it is tried again."""

log = structlog.get_logger(__name__)


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
        parts = urlsplit(self._url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise SettingsError("alerts.webhook is no http:// or https:// address")
        self.host = parts.hostname
        """For logs: the address itself may hold a password."""

    async def post(self, body: bytes, identity: str) -> bool:
        """Post a JSON body until it is taken, or until it is given up; return whether it was taken.

        Parameters
        ----------
        body
            JSON.
        identity
            The alert's id, by which a receiver knows what it has got twice.
        """
        pause = FIRST_PAUSE_S
        for attempt in range(1, self._settings.attempts + 1):
            why, again = await asyncio.to_thread(self._try, body, identity)
            if not why:
                return True
            last = not again or attempt == self._settings.attempts
            log.warning("webhook did not take an alert", host=self.host, alert=identity, error=why, given_up=last)
            if last:
                break
            await asyncio.sleep(pause)
            pause *= 2
        return False

    def _try(self, body: bytes, identity: str) -> tuple[str, bool]:
        """Post once; say what was wrong, and whether it is worth another try."""
        headers = {"content-type": "application/json", "user-agent": "maskwatch", "maskwatch-alert": identity}
        if secret := self._settings.secret.get_secret_value():
            headers["maskwatch-signature"] = signature(secret, body, int(time.time()))
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310  # the scheme was checked
        try:
            with urllib.request.urlopen(request, timeout=self._settings.timeout_s):  # noqa: S310
                return "", False
        except urllib.error.HTTPError as error:
            error.close()
            return (
                f"status {error.code}",
                error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or error.code in TEMPORARY,
            )
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}", True
