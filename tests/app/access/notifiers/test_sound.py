import io
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from twinface.app.access.notifiers.sound import BUZZ, CHIME, RATE, SoundNotifier, buzz, chime, found_players, write_wav
from twinface.core.access.actions import SoundAction

SOUND = SoundAction("sound")


def spectrum(samples):
    """Amplitude by frequency: a function that sums a band of 10 Hz around its argument."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    return lambda pitch: power[np.abs(frequencies - pitch) < 10].sum(), frequencies[power.argmax()]


def through_a_wav(samples, path: Path):
    with path.open("wb") as file:
        write_wav(file, samples)
    with wave.open(str(path)) as read:
        assert (read.getframerate(), read.getnchannels(), read.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(read.readframes(read.getnframes()), "<i2").astype(float)


def test_the_buzz_is_half_a_second_of_odd_overtones(tmp_path) -> None:
    samples = through_a_wav(buzz(), tmp_path / "buzz.wav")
    band, dominant = spectrum(samples)
    assert len(samples) == RATE // 2
    assert dominant == pytest.approx(BUZZ, abs=3)
    for overtone in (3, 5, 7):
        assert band(overtone * BUZZ) / band(BUZZ) == pytest.approx(1 / overtone, rel=0.05)
    for overtone in (2, 4, 6):
        assert band(overtone * BUZZ) / band(BUZZ) < 0.01


def test_the_chime_is_two_rising_tones(tmp_path) -> None:
    samples = through_a_wav(chime(), tmp_path / "chime.wav")
    first, second = samples[: round(0.18 * RATE)], samples[round(0.18 * RATE) :]
    assert spectrum(first)[1] == pytest.approx(CHIME[0], abs=6)
    assert spectrum(second)[1] == pytest.approx(CHIME[1], abs=6)
    assert CHIME[0] < CHIME[1]


@pytest.mark.parametrize("make", [buzz, chime])
def test_sounds_are_loud_do_not_clip_and_do_not_click(make) -> None:
    samples = make()
    assert samples.dtype == np.int16
    assert 24_000 < np.abs(samples.astype(int)).max() < 32_767
    assert abs(int(samples[0])) < 100
    assert abs(int(samples[-1])) < 100


def player(tmp_path: Path, code: str, name: str = "player.py") -> tuple[str, ...]:
    path = tmp_path / name
    path.write_text(code)
    return (sys.executable, str(path))


def waited(notifier: SoundNotifier) -> None:
    assert notifier._thread is not None
    notifier._thread.join(30)
    assert not notifier._thread.is_alive()


@pytest.mark.parametrize(("granted", "name"), [(True, "grant.wav"), (False, "refusal.wav")])
def test_a_grant_chimes_and_a_refusal_buzzes(notice, tmp_path, granted, name) -> None:
    played = tmp_path / "played"
    said = f"open({str(tmp_path / 'name')!r}, 'w').write(sys.argv[1])"
    code = f"import sys, shutil; shutil.copy(sys.argv[1], {str(played)!r}); {said}"
    notifier = SoundNotifier(SOUND, io.StringIO(), [player(tmp_path, code)])
    notifier.notify(notice(granted))
    waited(notifier)
    notifier.close()
    assert Path((tmp_path / "name").read_text()).name == name
    with wave.open(str(played)) as read:
        got = np.frombuffer(read.readframes(read.getnframes()), "<i2")
    assert np.array_equal(got, chime() if granted else buzz())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("players", [[], [("/nowhere/player",)], [(sys.executable, "-c", "raise SystemExit(1)")]])
def test_where_nothing_plays_the_terminal_rings(notice, players) -> None:
    out = Terminal()
    notifier = SoundNotifier(SOUND, out, players)
    notifier.notify(notice(False))
    waited(notifier)
    notifier.close()
    assert out.getvalue() == "\a"


def test_what_is_no_terminal_is_not_rung(notice) -> None:
    out = io.StringIO()
    notifier = SoundNotifier(SOUND, out, [])
    notifier.notify(notice(False))
    waited(notifier)
    notifier.close()
    assert out.getvalue() == ""


def test_a_player_that_fails_is_followed_by_the_next_and_no_bell(notice, tmp_path) -> None:
    out, mark = Terminal(), tmp_path / "mark"
    good = player(tmp_path, f"open({str(mark)!r}, 'w')")
    notifier = SoundNotifier(SOUND, out, [(sys.executable, "-c", "raise SystemExit(1)"), good])
    notifier.notify(notice(False))
    waited(notifier)
    notifier.close()
    assert mark.exists()
    assert out.getvalue() == ""


def test_a_player_is_cut_off_by_the_next_sound_without_a_bell(notice, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("twinface.app.access.notifiers.sound.LONGEST", 600.0)
    out = Terminal()
    hangs = player(tmp_path, "import time; time.sleep(600)")
    notifier = SoundNotifier(SOUND, out, [hangs])
    notifier.notify(notice(True))
    first = notifier._thread
    notifier.notify(notice(False))
    assert first is not None
    first.join(30)
    assert not first.is_alive()
    notifier.close()
    assert out.getvalue() == ""


def test_a_player_that_hangs_is_ended_and_the_terminal_rings(notice, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("twinface.app.access.notifiers.sound.LONGEST", 0.1)
    out = Terminal()
    notifier = SoundNotifier(SOUND, out, [player(tmp_path, "import time; time.sleep(600)")])
    notifier.notify(notice(False))
    waited(notifier)
    notifier.close()
    assert out.getvalue() == "\a"


def test_nobody_waits_for_the_sound(notice, tmp_path) -> None:
    gate = tmp_path / "gate"
    slow = player(tmp_path, f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)")
    notifier = SoundNotifier(SOUND, io.StringIO(), [slow])
    notifier.notify(notice(True))
    assert notifier._thread is not None
    assert notifier._thread.is_alive()
    gate.touch()
    waited(notifier)
    notifier.close()


def test_nothing_remains_after_closing(notice) -> None:
    notifier = SoundNotifier(SOUND, io.StringIO(), [(sys.executable, "-c", "import time; time.sleep(600)")])
    folder = Path(notifier._folder.name)
    assert sorted(path.name for path in folder.iterdir()) == ["grant.wav", "refusal.wav"]
    notifier.notify(notice(False))
    notifier.close()
    assert not folder.exists()
    assert not [one for one in threading.enumerate() if one.name.startswith("twinface-sound")]


def test_players_are_looked_for_in_the_path(tmp_path, monkeypatch) -> None:
    program = tmp_path / "aplay"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found_players() == ((str(program), "-q"),)
