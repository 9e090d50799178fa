"""A time limit for a whole conversation: a socket's own counts from byte to byte, and ends for nobody who drips."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def cut_after(link: socket.socket, seconds: float) -> Iterator[threading.Event]:
    """Ends a connection unless the block is left in time; the event says whether it was ended.

    Args:
        link: connected; whoever reads from it then finds its end, or an error.
        seconds: for the block as a whole.
    """
    late = threading.Event()
    timer = threading.Timer(max(0.0, seconds), _cut, (link, late))
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()


def _cut(link: socket.socket, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(link, socket.SHUT_RDWR)  # of the bare socket: TLS would wait for the other side
