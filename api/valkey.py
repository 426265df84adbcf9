"""How the API reaches Valkey: few connections, which are waited for, and no call that waits longer than it may."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from maskwatch.settings import Settings


def client(settings: Settings, connections: int) -> Redis:
    """Make a client; who finds all of its connections in use waits for one.

    Parameters
    ----------
    settings
        Name the store and its time-outs.
    connections
        At most.
    """
    timeout_s = settings.valkey.timeout_s
    pool = BlockingConnectionPool.from_url(
        settings.valkey_url,
        max_connections=connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        # One new connection at once, since Valkey may just have been restarted; then the caller decides.
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)
