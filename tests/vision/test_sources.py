"""Whatever names or holds a picture becomes bytes or a one-line refusal; what the bytes hold does not matter here."""

import io
import os
from pathlib import Path

import pytest

from twinface.errors import ImageError, ImageTooLarge, UnreadableImage, UnsupportedFormat
from twinface.vision.sources import DEFAULT_LIMITS, DecodeLimits, read_bytes

CONTENT = bytes(range(256)) * 2


def one_line(error: pytest.ExceptionInfo[ImageError]) -> str:
    message = str(error.value)
    assert message
    assert message.isprintable()
    assert len(message) < 500
    assert "0x" not in message
    return message


def test_limits_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        DecodeLimits(max_pixels=0)


def test_paths_and_bytes_are_read_whole_under_their_name(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        for source in (str(path), path, file):
            assert read_bytes(source, DEFAULT_LIMITS) == (str(path), CONTENT)
    for source in (CONTENT, bytearray(CONTENT), memoryview(CONTENT), memoryview(CONTENT + b"xx")[:-2]):
        assert read_bytes(source, DEFAULT_LIMITS) == ("<bytes>", CONTENT)


def test_a_file_object_is_read_from_its_position_and_left_open():
    file = io.BytesIO(b"header" + CONTENT)
    file.seek(6)
    assert read_bytes(file, DEFAULT_LIMITS) == ("<file>", CONTENT)
    assert not file.closed


def test_a_file_object_may_hand_out_small_parts():
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(7, size if size and size > 0 else 7))

    assert read_bytes(Trickle(CONTENT), DEFAULT_LIMITS) == ("<file>", CONTENT)


def test_a_pipe_as_file_object_is_read():
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as sink:
        sink.write(CONTENT)
    with os.fdopen(reading, "rb") as source:
        assert read_bytes(source, DEFAULT_LIMITS)[1] == CONTENT


@pytest.mark.parametrize("source", [None, 7, 1.5, [[1, 2], [3, 4]], object()], ids=lambda value: type(value).__name__)
def test_what_is_no_picture_is_refused_by_its_type(source):
    with pytest.raises(
        UnsupportedFormat, match=f"{type(source).__name__} is not a picture; give a path, bytes"
    ) as error:
        read_bytes(source, DEFAULT_LIMITS)
    one_line(error)


@pytest.mark.parametrize(
    "address", ["http://example.org/a.jpg", "HTTPS://x/a", "s3://b/a.png", "data:image/png;base64,AA"]
)
def test_addresses_are_not_fetched(address):
    with pytest.raises(UnsupportedFormat, match="no URLs; download the picture first") as error:
        read_bytes(address, DEFAULT_LIMITS)
    one_line(error)


def test_missing_file(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    for path in (tmp_path / "none.jpg", tmp_path / "file" / "none.jpg"):
        with pytest.raises(UnreadableImage, match=r"none\.jpg: no such file; check the path") as error:
            read_bytes(path, DEFAULT_LIMITS)
        one_line(error)


def test_empty_path():
    with pytest.raises(UnreadableImage, match="no such file; the path is empty"):
        read_bytes("", DEFAULT_LIMITS)


@pytest.mark.parametrize("name", ["a\0b.jpg", "line\nbreak.jpg", "long" * 1000, "\udcff.jpg"])
def test_strange_names_make_one_line(name):
    with pytest.raises(UnreadableImage) as error:
        read_bytes(name, DEFAULT_LIMITS)
    message = str(error.value)
    assert message.isprintable()
    assert len(message) < 400


def test_directory(tmp_path):
    with pytest.raises(UnreadableImage, match="is a directory; name a picture in it") as error:
        read_bytes(tmp_path, DEFAULT_LIMITS)
    one_line(error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read_bytes(tmp_path / "pipe", DEFAULT_LIMITS)


def test_permission_denied(tmp_path, monkeypatch):
    path = tmp_path / "secret.jpg"
    path.write_bytes(CONTENT)
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read it

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableImage, match=r"secret\.jpg: permission denied") as error:
        read_bytes(path, DEFAULT_LIMITS)
    one_line(error)


@pytest.mark.parametrize("kind", ["path", "bytes", "file"])
def test_empty(tmp_path, kind):
    path = tmp_path / "empty.jpg"
    path.touch()
    source = {"path": path, "bytes": b"", "file": io.BytesIO(b"")}[kind]
    with pytest.raises(UnreadableImage, match="empty, there are no bytes to read") as error:
        read_bytes(source, DEFAULT_LIMITS)
    one_line(error)


def test_closed_file():
    file = io.BytesIO(CONTENT)
    file.close()
    with pytest.raises(UnreadableImage, match="closed file"):
        read_bytes(file, DEFAULT_LIMITS)


def test_file_opened_as_text(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(CONTENT)
    with path.open() as file, pytest.raises(UnsupportedFormat, match=r'a\.jpg.* opened as text; .*"rb"'):
        read_bytes(file, DEFAULT_LIMITS)


def test_reader_that_gives_no_bytes():
    class Odd:
        def read(self, size: int) -> str:
            return "picture"

    with pytest.raises(UnsupportedFormat, match="gave str, not bytes"):
        read_bytes(Odd(), DEFAULT_LIMITS)


@pytest.mark.parametrize("kind", ["path", "bytes", "memoryview", "file"])
def test_too_many_bytes_are_refused(tmp_path, kind):
    path = tmp_path / "a.png"
    path.write_bytes(CONTENT)
    file = io.BytesIO(CONTENT)
    source = {"path": path, "bytes": CONTENT, "memoryview": memoryview(CONTENT), "file": file}[kind]
    with pytest.raises(ImageTooLarge, match="more than 100 bytes, the limit") as error:
        read_bytes(source, DecodeLimits(max_bytes=100))
    one_line(error)
    if kind == "file":
        assert file.tell() == 101
    assert read_bytes(CONTENT, DecodeLimits(max_bytes=len(CONTENT))) == ("<bytes>", CONTENT)


def test_a_huge_file_is_not_even_opened(tmp_path, monkeypatch):
    path = tmp_path / "huge.jpg"
    path.touch()
    os.truncate(path, DecodeLimits().max_bytes + 1)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(ImageTooLarge, match=r"huge\.jpg: more than 268,435,456 bytes"):
        read_bytes(path, DEFAULT_LIMITS)


def test_an_endless_file_object_is_left_in_time():
    class Endless:
        def read(self, size: int) -> bytes:
            return b"\xff" * min(size, 1000)

    with pytest.raises(ImageTooLarge):
        read_bytes(Endless(), DecodeLimits(max_bytes=5000))
