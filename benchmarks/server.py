"""The server under load: how much it answers, how fast at 80% of that, what it does at three times as much.

    python benchmarks/server.py [--seconds 120] [--clients 32] [--path /v1/compare] [--limits] [--json]

Starts `twinface serve` with an empty gallery, sends the sample photos over loopback, and measures in turn

- the maximum: every client asks again as soon as it is answered;
- 80% of it for --seconds: requests are due at even times, and a latency counts from when its request was due;
- 300% of it: the shares that are answered (200), told to slow down (429) or to come again (503), and anything else;
- half of it again: how long after the overload until every request of a second is answered.

The server's memory is read once a second; it runs as its image and its unit run it (MALLOC_ARENA_MAX=1). The clients
run on the same processors as the server, and take a share of them. Without --limits the limit of calls a key may make
is lifted, as one address stands for many clients here. Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twinface.app.machine import cores, processor, versions

EXAMPLES = Path(__file__).parents[1] / "examples"
PICTURES = {"/v1/compare": {"a": "collins.jpg", "b": "collins_reshoot.jpg"}}
PATIENCE = 120.0
CROWD = 6
"""Clients of the overload, as a multiple: each waits for its answer, so fewer could not ask too much."""


@dataclass(frozen=True)
class Answer:
    """One request: when it was due, in seconds of the clock, how long it took from then, and its status; 0 for none."""

    due: float
    seconds: float
    status: int


@dataclass(frozen=True)
class Phase:
    """What a phase came to. Latencies are of requests answered with 200, in seconds; memory in bytes."""

    name: str
    asked: float
    answered: float
    shares: dict[str, float]
    p50: float
    p99: float
    longest: float
    memory_before: int
    memory_after: int
    memory_most: int


class Server:
    """`twinface serve` in a process of its own."""

    def __init__(self, folder: Path, limits: bool) -> None:
        words = ["--port", "0", "--gallery", str(folder / "people.db"), "--state", str(folder / "state")]
        if not limits:
            words += ["--rate", "1e6"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "twinface", "serve", *words],
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.host, self.port = self._address()
        threading.Thread(target=self._drain, daemon=True).start()

    def _address(self) -> tuple[str, int]:
        told = []
        for line in self._process.stderr or ():
            told.append(line)
            found = re.search(r"http://[\w.]+:\d+", line)
            if found:
                parts = urlsplit(found[0])
                return parts.hostname or "", parts.port or 0
        raise SystemExit("the server did not start:\n" + "".join(told))

    def _drain(self) -> None:
        for _ in self._process.stderr or ():
            pass

    @property
    def memory(self) -> int:
        """Bytes that lie in memory now."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """Ends it, as a service manager does."""
        self._process.terminate()
        self._process.wait(PATIENCE)


class Load:
    """Clients that all send one request, again and again."""

    def __init__(self, server: Server, path: str) -> None:
        self._server, self._path = server, path
        self._body, self._type = _form(PICTURES.get(path, {"picture": "collins.jpg"}))
        self._lock = threading.Lock()

    def run(self, name: str, clients: int, seconds: float, rate: float | None = None) -> tuple[Phase, list[Answer]]:
        """So many clients for so long; `rate` requests a second together, or as many as there are answers."""
        answers: list[Answer] = []
        begin = time.monotonic() + 0.1
        threads = [
            threading.Thread(target=self._client, args=(answers, begin, seconds, clients, number, rate))
            for number in range(clients)
        ]
        memory = [self._server.memory]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(1)
            memory.append(self._server.memory)
        return _summary(name, answers, begin, memory), sorted(answers, key=lambda one: one.due)

    def _client(
        self, answers: list[Answer], begin: float, seconds: float, clients: int, number: int, rate: float | None
    ) -> None:
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=PATIENCE)
        due = begin + (number / rate if rate else 0.0)
        while due < begin + seconds and time.monotonic() < begin + 2 * seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            status = self._ask(connection)
            now = time.monotonic()
            with self._lock:
                answers.append(Answer(due, now - due, status))
            due = due + clients / rate if rate else now
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> int:
        try:
            connection.request("POST", self._path, self._body, {"Content-Type": self._type})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0
        return response.status


def _summary(name: str, answers: list[Answer], begin: float, memory: list[int]) -> Phase:
    counts = Counter(str(one.status or "no answer") for one in answers)
    good = sorted(one.seconds for one in answers if one.status == 200) or [float("inf")]
    end = max(one.due + one.seconds for one in answers)
    return Phase(
        name,
        len(answers) / (end - begin),
        counts["200"] / (end - begin),
        {status: count / len(answers) for status, count in sorted(counts.items())},
        good[len(good) // 2],
        good[min(len(good) - 1, int(0.99 * len(good)))],
        good[-1],
        memory[0],
        memory[-1],
        max(memory),
    )


def _recovery(answers: list[Answer]) -> float:
    """Seconds from the first request on until every request of a whole second was answered with 200."""
    begin = answers[0].due
    refused = [one.due - begin for one in answers if one.status != 200]
    return max(refused, default=0.0)


def _form(pictures: dict[str, str]) -> tuple[bytes, str]:
    body = b""
    for field, file in pictures.items():
        head = f'--cut\r\nContent-Disposition: form-data; name="{field}"; filename="{file}"\r\n\r\n'
        body += head.encode() + (EXAMPLES / file).read_bytes() + b"\r\n"
    return body + b"--cut--\r\n", "multipart/form-data; boundary=cut"


@contextlib.contextmanager
def _served(limits: bool) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), limits)
        try:
            yield server
        finally:
            server.close()


def _measure(chosen: argparse.Namespace) -> dict[str, Any]:
    with _served(chosen.limits) as server:
        load = Load(server, chosen.path)
        load.run("warm", 4, 5)
        most, _ = load.run("maximum", chosen.clients, min(30.0, chosen.seconds))
        rate = most.answered
        steady, _ = load.run("80%", chosen.clients, chosen.seconds, 0.8 * rate)
        over, _ = load.run("300%", CROWD * chosen.clients, min(30.0, chosen.seconds), 3 * rate)
        after, answers = load.run("50% afterwards", chosen.clients, min(15.0, chosen.seconds), 0.5 * rate)
    return {
        "path": chosen.path,
        "clients": chosen.clients,
        "seconds": chosen.seconds,
        "phases": [asdict(phase) for phase in (most, steady, over, after)],
        "recovery": _recovery(answers),
        "machine": {"processor": processor(), "cores": cores(), "load": os.getloadavg()[0]},
        "versions": versions(["twinface", "fastapi", "uvicorn", "onnxruntime"]),
    }


def _print(report: dict[str, Any]) -> None:
    machine = report["machine"]
    print(f"{report['path']}, {report['clients']} clients; {machine['processor']}, {machine['cores']} cores")
    print(f"{'':16}{'asked/s':>9}{'200/s':>8}{'p50':>9}{'p99':>9}{'longest':>9}{'memory':>18}  shares")
    for phase in report["phases"]:
        times = "".join(f"{1000 * phase[name]:>6.0f} ms" for name in ("p50", "p99", "longest"))
        memory = f"{phase['memory_before'] / 2**20:.0f} to {phase['memory_after'] / 2**20:.0f} MB"
        shares = ", ".join(f"{status} {100 * share:.1f}%" for status, share in phase["shares"].items())
        print(f"{phase['name']:16}{phase['asked']:>9.1f}{phase['answered']:>8.1f}{times}{memory:>18}  {shares}")
    print(f"after the overload the last request that was not answered was due after {report['recovery']:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--path", choices=["/v1/compare", "/v1/detect", "/v1/identify"], default="/v1/compare")
    parser.add_argument("--limits", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    report = _measure(chosen)
    if chosen.json:
        print(json.dumps(report))
    else:
        _print(report)


if __name__ == "__main__":
    main()
