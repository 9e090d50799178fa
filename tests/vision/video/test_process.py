"""The process that decodes: how it starts, breaks down, hangs, is left alone and ends; what it shares and says."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from twinface.errors import SourceStalled, SourceUnavailable
from twinface.vision.video import ring as video_ring
from twinface.vision.video.child import Link
from twinface.vision.video.decoder import Broken, Decoder
from twinface.vision.video.ring import FEW_SLOTS, LARGE, SLOTS, Ring, Slots
from twinface.vision.video.source import VideoOptions, VideoSource, open_video
from twinface.vision.video.wire import MOST_PIXELS, Request, line, parsed

av = pytest.importorskip("av", reason="PyAV is not installed")

ROOT = Path(__file__).parents[3]
DEADLINE = 60.0
"""Seconds; only a hang takes so long."""

COUNT = 400
SHARED = Path("/dev/shm")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes by /proc")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of more frames than a ring holds."""
    path = tmp_path_factory.mktemp("many") / "many.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=100)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(COUNT):
            picture = np.full((48, 64, 3), number % 250, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


MADE: list[str] = []
"""Names of the shared memory that the running test made."""


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    MADE.clear()
    reserved = video_ring._reserved

    def noted(size: int) -> Any:
        memory = reserved(size)
        MADE.append(memory.name)
        return memory

    monkeypatch.setattr(video_ring, "_reserved", noted)
    yield
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("twinface reads")])
    assert not left(MADE)


def left(names: list[str]) -> list[str]:
    """Of shared memory, what still has its name."""
    return [name for name in names if (SHARED / name).exists()]


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def child(video: VideoSource) -> int:
    return video._held[-1].pid


# breakdowns


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_decoder_that_breaks_down_is_told(many: Path, number: int) -> None:
    with open_video(many) as video:
        frames = video.frames()
        next(frames)
        os.kill(child(video), number)
        with pytest.raises(SourceUnavailable) as caught:
            list(frames)
    said = f"{many}: the decoder broke down (signal {int(number)}); check the disk it is on, or get an intact copy"
    assert str(caught.value) == said


def test_a_decoder_that_hangs_is_told_and_ended(many: Path) -> None:
    with open_video(many, VideoOptions(stall=0.3)) as video:
        process = child(video)
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(SourceStalled, match=r"no frame came for 0\.3 s; check the disk it is on"):
            list(video.frames())
    assert not alive(process)


def test_a_slow_reader_is_no_stall(many: Path) -> None:
    with open_video(many, VideoOptions(stall=0.2)) as video:
        frames = video.frames()
        next(frames)
        since = time.monotonic()
        until(lambda: time.monotonic() - since > 0.5)
        assert len(list(frames)) == COUNT - 1


def test_a_decoder_at_work_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the next frame that is wanted may take longer than the patience."""
    said = [line("ready"), *[line("alive")] * 10, line("refused", "enough")]
    boot = f"import sys, time\nfor one in {said!r}: sys.stdout.buffer.write(one); sys.stdout.flush(); time.sleep(0.15)"
    monkeypatch.setattr("twinface.vision.video.decoder._BOOT", boot)
    decoder = Decoder(Request("file", ("x",)), "x")
    with pytest.raises(Broken, match="enough"):
        decoder.shape(1.0)
    decoder.close()


def test_signs_of_life_and_notes_are_sent_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = io.BytesIO()
    link = Link(io.BytesIO(line("request", Request("file", ("x",)).message())), answers)
    now = [100.0]
    monkeypatch.setattr("twinface.vision.video.child.time", SimpleNamespace(monotonic=lambda: now[0]))
    link._signed = now[0]
    for _ in range(100):
        now[0] += 0.01
        link.note("damaged", 1)
        link.alive()
    link.note("cut short")
    link.note("cut short")
    link.say_notes()
    said = [parsed(one) for one in answers.getvalue().splitlines()]
    assert 3 <= [name for name, _ in said].count("alive") <= 4
    assert dict(values for name, values in said if name == "note") == {"damaged": 100, "cut short": 0}


@pytest.mark.parametrize(
    "lines",
    [
        b"hello\n", b'{"a": 1}\n', b"[]\n", b'["frame"]\n', b'["frame", 1, 0, 48, 64, 0.0, 0, 0.0]\n',
        line("ring", 3 * MOST_PIXELS + 1), line("ring", -1), line("ring", "much"),
        line("shape", True, 0, 0, None, None),
        line("ring", 9216) + line("frame", 1, 7, 48, 64, 0.0, 0, 0.0),
        line("ring", 9216) + line("frame", 1, 0, 480, 640, 0.0, 0, 0.0),
        line("ring", 9216) + line("frame", 2, 0, 48, 64, 0.0, 0, 0.0),
    ],
)  # fmt: skip
def test_a_decoder_that_says_nonsense_is_not_believed(monkeypatch: pytest.MonkeyPatch, lines: bytes) -> None:
    """A video made to take the decoder over gains nothing by it here."""
    boot = f"import sys, time; sys.stdout.buffer.write({lines!r}); sys.stdout.buffer.flush(); time.sleep({DEADLINE})"
    monkeypatch.setattr("twinface.vision.video.decoder._BOOT", boot)
    decoder = Decoder(Request("file", ("x",)), "x")
    with pytest.raises(Broken, match="the decoder said what makes no sense"):
        decoder.shape(DEADLINE)
    decoder.close()
    assert not alive(decoder.pid)


def test_a_decoder_that_cannot_start_is_told(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinface.vision.video.decoder._BOOT", "raise SystemExit(3)")
    with pytest.raises(SourceUnavailable, match=r"the decoder broke down \(status 3\)"):
        open_video(many)


# starting and ending


def run(program: str, *words: str | Path, directory: Path | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=directory,
    )  # fmt: skip


def begun(said: str) -> tuple[int, str]:
    """Number of the decoding process, and name of the shared memory."""
    process, name = said.split()
    return int(process), name


READING = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs ignore
from twinface.vision.video import ring as video_ring
from twinface.vision.video.source import open_video

reserved, made = video_ring._reserved, []

def noted(size):
    made.append(reserved(size))
    return made[-1]

video_ring._reserved = noted
video = open_video(sys.argv[1])
frames = video.frames()
next(frames)
print(video._held[-1].pid, made[0].name, flush=True)
del made[:]
"""


@on_linux
def test_the_decoder_ends_when_its_parent_is_killed(many: Path) -> None:
    parent = run(READING + "time.sleep(1000)", many)
    assert parent.stdout is not None
    process, name = begun(parent.stdout.readline())
    assert alive(process)
    parent.kill()
    assert parent.communicate() == ("", "")
    until(lambda: not alive(process))
    assert not left([name])


@on_linux
def test_the_decoder_ends_when_its_parent_is_killed_though_a_fork_holds_its_pipe(many: Path) -> None:
    parent = run(READING + "forked = os.fork()\nif forked: print(forked, flush=True)\ntime.sleep(1000)", many)
    assert parent.stdout is not None
    (process, _), forked = begun(parent.stdout.readline()), int(parent.stdout.readline())
    try:
        parent.kill()
        until(lambda: not alive(process))
        assert alive(forked)
    finally:
        os.kill(forked, signal.SIGKILL)
    parent.communicate(timeout=DEADLINE)


@on_linux
@pytest.mark.parametrize(
    "rest", ["for frame in frames: time.sleep(0.05)", "time.sleep(1000)", "with video: time.sleep(1000)"]
)
def test_ctrl_c_leaves_nothing(many: Path, rest: str) -> None:
    parent = run(READING + rest, many)
    assert parent.stdout is not None
    process, name = begun(parent.stdout.readline())
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=DEADLINE)
    assert said.endswith("KeyboardInterrupt\n")
    assert "resource_tracker" not in said
    assert "Warning" not in said
    until(lambda: not alive(process))
    assert not left([name])


@on_linux
@pytest.mark.parametrize("rest", ["raise SystemExit", "os._exit(0)", "del video, frames", ""])
def test_leaving_without_closing_leaves_nothing(many: Path, rest: str) -> None:
    parent = run(READING + rest, many)
    out, said = parent.communicate(timeout=DEADLINE)
    assert said == ""
    process, name = begun(out)
    until(lambda: not alive(process))
    assert not left([name])


def test_scripts_need_no_guard_and_are_not_run_twice(many: Path, tmp_path: Path) -> None:
    """What `multiprocessing`'s "spawn" would do: import the caller's main program again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, threading\nprint('begun')\nfrom twinface.vision.video.source import open_video\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "with open_video(sys.argv[1]) as video:\n    print(len(list(video.frames())))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, script, many], capture_output=True, text=True, env=environment, timeout=DEADLINE, check=False
    )
    assert (done.stdout, done.stderr) == (f"begun\n{COUNT}\n", "")


def test_modules_that_lie_about_are_not_loaded(many: Path, tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise SystemExit('loaded')")
    (tmp_path / "json.py").write_text("raise SystemExit('loaded')")
    program = (
        "import sys; sys.path.remove('')\nfrom twinface.vision.video.source import open_video\n"
        "with open_video(sys.argv[1]) as video: print(len(list(video.frames())))"
    )
    out, said = run(program, many, directory=tmp_path).communicate(timeout=DEADLINE)
    assert (out, said) == (f"{COUNT}\n", "")


def test_the_decoder_loads_numpy_and_pyav_only(run_python: Any) -> None:
    done = run_python(
        "import json, sys\nimport twinface.vision.video.child, twinface.vision.video.opening\n"
        "print(json.dumps([*sys.modules]))"
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.out)}
    assert {"numpy", "av", "twinface"} <= loaded
    assert loaded.isdisjoint({"PIL", "cv2", "onnxruntime", "rich", "torch", "typer", "cryptography"})


def test_asking_for_videos_does_not_load_pyav(run_python: Any) -> None:
    done = run_python("import sys, twinface.vision.video.source; print('av' in sys.modules, 'cv2' in sys.modules)")
    assert done.out == "False False\n"


def test_several_videos_at_once_in_several_threads(many: Path) -> None:
    counts: list[int] = []

    def count() -> None:
        with open_video(many) as video:
            counts.append(sum(1 for _ in video.frames()))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert counts == [COUNT] * 4


# shared memory


@on_linux
def test_shared_memory_has_no_name_while_it_is_used(many: Path) -> None:
    with open_video(many) as video:
        next(video.frames())
        assert MADE
        until(lambda: not left(MADE))


def test_what_one_side_writes_the_other_copies() -> None:
    ring = Ring(3 * 48 * 64)
    slots = Slots(ring.name, ring.frame_bytes, ring.slots)
    ring.unlink()
    ring.unlink()
    taken = [slots.take(wait=False) for _ in range(SLOTS)]
    assert taken == list(range(SLOTS))
    assert slots.take(wait=False) is None
    slots.image(2, 48, 64)[:] = 7
    slots.image(3, 24, 32)[:] = 9
    assert (ring.copy(2, 48, 64) == 7).all()
    assert (ring.copy(3, 24, 32) == 9).all()
    slots.give(2)
    assert slots.take(wait=True) == 2
    waiting = threading.Thread(target=slots.take, kwargs={"wait": True})
    waiting.start()
    slots.close()
    waiting.join(DEADLINE)
    assert not waiting.is_alive()
    ring.close()
    ring.close()


@on_linux
def test_shared_memory_that_is_too_small_is_told(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's has 64 MB; writing beyond would end the process by a signal."""

    def full(handle: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SourceUnavailable) as caught:
        open_video(many)
    assert "there is not enough shared memory (No space left on device); " in str(caught.value)


@on_linux
def test_a_ring_is_content_with_fewer_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    reserved = video_ring._reserved

    def scarce(size: int) -> Any:
        if size > 2 * 9216:
            raise OSError(errno.ENOSPC, "full")
        return reserved(size)

    monkeypatch.setattr(video_ring, "_reserved", scarce)
    ring = Ring(9216)
    assert ring.slots == FEW_SLOTS
    ring.close()
    monkeypatch.undo()
    large = Ring(LARGE + 1)
    assert large.slots == FEW_SLOTS
    large.close()


def test_messages_are_lines() -> None:
    request = Request("stream", ("rtsp://a:b@c/d",), ("a", "b"), longest=640, end=3.5)
    name, (message,) = parsed(line("request", request.message()))
    assert (name, Request.from_message(message)) == ("request", request)
    assert "rtsp" not in repr(request)
