"""What Prometheus is told at /metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server, in a registry of their own; the process's memory and CPU beside them."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        own = self._registry
        self._requests = Counter(
            "bitladder_requests", "POST /predict, by HTTP status", ["status"], registry=own
        )
        self._seconds = Histogram(
            "bitladder_request_seconds", "From a request to its answer", buckets=SECONDS, registry=own
        )
        self._batches = Histogram(
            "bitladder_batch_rows", "Texts computed together", buckets=ROWS, registry=own
        )
        self._waiting = Gauge("bitladder_waiting_rows", "Texts that wait for the model", registry=own)
        labels = ["digest", "kind", "bits"]
        self._model = Gauge("bitladder_model", "1; its labels say which model", labels, registry=own)

    def about(self, digest: str, kind: str, bits: str) -> None:
        self._model.labels(digest, kind, bits).set(1)

    def watch(self, num_waiting: Callable[[], int]) -> None:
        self._waiting.set_function(num_waiting)

    def request(self, status: int, seconds: float) -> None:
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def batch(self, num_rows: int) -> None:
        self._batches.observe(num_rows)

    def text(self) -> bytes:
        return generate_latest(self._registry)
