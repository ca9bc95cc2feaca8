"""What one request, and all that wait, may take; and how a refusal is told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Attributes:
    body: bytes of a request.
    rows: texts (pairs, questions) of a request; as many are computed together.
    tokens: of one text, or of a pair, before it is cut to what the model reads.
    queue: rows that wait for the model; more are refused.
    wait: seconds that a row waits for others to be computed with.
    """

    body: int = 1 << 20
    rows: int = 64
    tokens: int = 4096
    queue: int = 1024
    wait: float = 0.001


class RefusedError(Exception):
    """A request is not answered; `detail` is one line for its sender.

    Attributes:
        status: 413 too large, 422 makes no sense, 500 our failure, 503 too much to do.
        retry_after: seconds, with 503.
    """

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, " ".join(detail.split()), retry_after
