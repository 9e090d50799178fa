"""Recordings of what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twinface.app.video.recording import HYBRID, Recording

av = pytest.importorskip("av", reason="PyAV is not installed")


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def test_frames_keep_their_times_and_one_size(tmp_path: Path) -> None:
    times = [5.0, 5.1, 5.1000001, 5.75, 9.2]
    with Recording(tmp_path / "seen.mp4") as recording:
        for number, at in enumerate(times):
            recording.add(np.full((101 + number, 151, 3), 40 * number, np.uint8), at)
    frames = decoded(tmp_path / "seen.mp4")
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.75, 4.2], abs=1e-3)
    assert {(frame.width, frame.height) for frame in frames} == {(150, 100)}


def test_without_h264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with Recording(tmp_path / "seen.mp4") as recording:
        for at in (0.0, 0.1, 0.75, 1.2):
            recording.add(np.zeros((100, 150, 3), np.uint8), at)
    frames = decoded(tmp_path / "seen.mp4")
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.75, 1.2], abs=2e-3)


def test_one_whose_process_was_killed_can_be_played(tmp_path: Path) -> None:
    if av.library_versions["libavformat"] < HYBRID:
        pytest.skip("this FFmpeg cannot do it")
    with Recording(tmp_path / "seen.mp4") as recording:
        for number in range(300):
            recording.add(np.full((100, 150, 3), number % 200, np.uint8), number / 25)
        (tmp_path / "killed.mp4").write_bytes((tmp_path / "seen.mp4").read_bytes())
    frames = decoded(tmp_path / "killed.mp4")
    assert len(frames) >= 100
    assert len(decoded(tmp_path / "seen.mp4")) == 300


def test_nothing_is_left_of_one_without_frames(tmp_path: Path) -> None:
    with Recording(tmp_path / "seen.mp4"):
        pass
    assert not list(tmp_path.iterdir())
