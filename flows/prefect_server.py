"""What the project asks of a Prefect server, and what keeps a dead one from being waited for.

Whether a server answers at all is asked by plain HTTP, so that no import of Prefect is paid for where there
is none.
"""

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER_S = 5.0
SHORT_S = 1.0


def require(url: str, *, within_s: float = ANSWER_S) -> None:
    """Raise ConnectionError unless a server says at `url`/health that it is well.

    A refusal is an answer too: a server may want credentials, which Prefect's own client knows.
    """
    try:
        urllib.request.urlopen(f"{url}/health", timeout=within_s).close()  # noqa: S310
    except urllib.error.HTTPError as refused:
        if refused.code not in (401, 403):
            raise ConnectionError(
                f"what answers at {url} is not a healthy Prefect server: {refused}"
            ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ConnectionError(
            f"no Prefect server answers at {url}: {getattr(error, 'reason', error)}"
        ) from None


def lose_events_rather_than_wait() -> None:
    """By default each event waits seconds for a dead server, and the process waits for every event."""
    from prefect.events.clients import PrefectEventsClient
    from prefect.events.worker import EventsWorker

    EventsWorker.set_client_override(PrefectEventsClient, reconnection_attempts=1)
    logging.raiseExceptions = False  # Prefect would write "Error logging to API" for every batch


def abort_if_lost(url: str) -> None:
    """Leave the flow engine without a word to a server that no longer answers: each would cost seconds."""
    from prefect.exceptions import Abort

    try:
        require(url, within_s=SHORT_S)
    except ConnectionError as error:
        raise Abort(str(error)) from None


@contextmanager
def abort_is_lost() -> Iterator[None]:
    """Raise ConnectionError where the block raised Prefect's Abort, which is no Exception."""
    from prefect.exceptions import Abort

    try:
        yield
    except Abort as error:
        raise ConnectionError(str(error)) from None
