"""What a server counts, in the form that Prometheus reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The counters of one server; names of people, keys and addresses are in none of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "twinface_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._latency = Histogram(
            "twinface_request_seconds", "Time to answer.", ("route",), buckets=_SECONDS, registry=self.registry
        )
        self._model = Histogram(
            "twinface_model_seconds", "Time in models.", ("stage",), buckets=_SECONDS, registry=self.registry
        )
        self._waiting = Gauge("twinface_queue_length", "Calls that wait for a worker.", registry=self.registry)

    def watch_queue(self, length: Callable[[], float]) -> None:
        """Reads the queue's length whenever metrics are asked for."""
        self._waiting.set_function(length)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts an answer; `route` is the route's pattern, never an address with somebody's number in it."""
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    @contextmanager
    def model(self, stage: str) -> Iterator[None]:
        """Times a stage of the models: decode, detect, encode, search."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._model.labels(stage).observe(time.perf_counter() - began)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self.registry)
