"""`twinface data fetch|list`: from a server on this machine to a folder that LFW is read from."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from twinface.app.settings import data_folder
from twinface.datasets import catalogue
from twinface.datasets.catalogue import RemoteFile, RemoteSet
from twinface.datasets.lfw import open_lfw

LIST = b"1\nAda\t1\t2\nAda\t1\tBob\t1\n"
PICTURES = {
    f"lfw/{name}/{name}_000{number}.jpg": name.encode() for name, number in (("Ada", 1), ("Ada", 2), ("Bob", 1))
}


def archived(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


class Served(SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_words):
        """Says nothing."""


@pytest.fixture
def mirror(tmp_path):
    """A folder that is served, its address, and what was asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Handler", (Served,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/", handler.asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def tiny(mirror, monkeypatch):
    """A catalogue of one small set, served by the mirror."""
    folder, url, _ = mirror

    def served(name, content):
        (folder / name).write_bytes(content)
        return RemoteFile(name, f"{url}{name}", hashlib.sha256(content).hexdigest(), len(content))

    lists = tuple(served(name, LIST) for name in ("pairs.txt", "pairsDevTest.txt"))
    found = RemoteSet(
        "tiny", "two people", "yours", "https://example.org", served("lfw.tgz", archived(PICTURES)), "lfw", lists
    )
    monkeypatch.setattr(catalogue, "catalogue", lambda: (found,))
    return found


def following(outcome) -> Path:
    """The folder that the printed next command names."""
    words = shlex.split(outcome.out.splitlines()[-1])
    assert words[:5] == ["next:", "twinface", "evaluate", "lfw", "--root"]
    return Path(words[5])


def test_the_data_folder_is_what_the_environment_says_or_the_platforms():
    assert data_folder({"TWINFACE_DATA": "somewhere"}) == Path("somewhere")
    assert data_folder({}) == data_folder({"TWINFACE_DATA": ""})
    assert data_folder({}).is_absolute()
    assert data_folder({}).name == "twinface"


class TestFetch:
    def test_what_it_leaves_is_read_as_lfw(self, cli, tmp_path, tiny):
        outcome = cli("data", "fetch", "tiny", "--to", tmp_path / "my data")
        assert (outcome.status, outcome.err) == (0, "")
        assert f"tiny: in {tmp_path / 'my data' / 'lfw'}; yours" in outcome.out
        for root in (tmp_path / "my data", following(outcome)):
            lfw = open_lfw(root)
            assert (lfw.variant, len(lfw.pairs("view2"))) == ("original", 2)
            assert dict(lfw.files.read([lfw.path("Bob", 1)])) == {"Bob/Bob_0001.jpg": b"Bob"}

    def test_the_archive_can_be_kept_as_it_is(self, cli, tmp_path, tiny):
        outcome = cli("data", "fetch", "tiny", "--to", tmp_path / "data", "--no-extract")
        assert (outcome.status, following(outcome)) == (0, tmp_path / "data" / "lfw.tgz")
        assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
            "lfw.tgz",
            "pairs.txt",
            "pairsDevTest.txt",
        ]
        assert len(open_lfw(tmp_path / "data").pairs("view2")) == 2

    def test_the_users_data_folder_is_the_default(self, cli, tmp_path, tiny, scrubbed):
        scrubbed.setenv("TWINFACE_DATA", str(tmp_path / "home"))
        assert following(cli("data", "fetch", "tiny")) == tmp_path / "home" / "lfw"

    def test_a_second_run_asks_for_nothing_even_without_the_archive(self, cli, tmp_path, tiny, mirror):
        first = cli("data", "fetch", "tiny", "--to", tmp_path)
        asked = list(mirror[2])
        assert cli("data", "fetch", "tiny", "--to", tmp_path).out == first.out
        (tmp_path / "lfw.tgz").unlink()
        outcome = cli("data", "fetch", "tiny", "--to", tmp_path)
        assert (outcome.status, following(outcome)) == (0, tmp_path / "lfw")
        assert "no longer needed" not in outcome.out
        assert mirror[2] == asked

    @pytest.mark.parametrize("end", ["", "/"])
    def test_a_mirror_has_the_files_by_their_names(self, cli, tmp_path, tiny, mirror, monkeypatch, end):
        gone = replace(
            tiny,
            archive=replace(tiny.archive, url="https://gone.invalid/1"),
            lists=tuple(replace(file, url="https://gone.invalid/2") for file in tiny.lists),
        )
        monkeypatch.setattr(catalogue, "catalogue", lambda: (gone,))
        outcome = cli("data", "fetch", "tiny", "--to", tmp_path, "--mirror", mirror[1].rstrip("/") + end)
        assert outcome.status == 0
        assert mirror[2] == ["/pairs.txt", "/pairsDevTest.txt", "/lfw.tgz"]

    def test_a_mirror_with_something_else_is_refused(self, cli, tmp_path, tiny, mirror):
        (mirror[0] / "lfw.tgz").write_bytes(archived({"lfw/evil.jpg": b""}))
        cli("data", "fetch", "tiny", "--to", tmp_path / "to", "--mirror", mirror[1]).refuses("SHA-256 is", "expected")
        assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["pairs.txt", "pairsDevTest.txt"]

    def test_a_mirror_that_lacks_a_file_is_refused(self, cli, tmp_path, tiny, mirror):
        (mirror[0] / "pairs.txt").unlink()
        cli("data", "fetch", "tiny", "--to", tmp_path / "to").refuses("/pairs.txt: HTTP status 404", "with a browser")

    def test_a_mirror_must_be_safe(self, cli, tmp_path, tiny):
        refusal = cli("data", "fetch", "tiny", "--to", tmp_path, "--mirror", "http://example.org/lfw")
        refusal.refuses("http://example.org/lfw/pairs.txt: only https addresses are fetched")

    def test_a_hostile_archive_leaves_no_folder(self, cli, tmp_path, tiny, mirror, monkeypatch):
        evil = archived({"lfw/Ada/Ada_0001.jpg": b"", "lfw/../../evil.jpg": b"evil"})
        (mirror[0] / "lfw.tgz").write_bytes(evil)
        sent = replace(tiny, archive=replace(tiny.archive, sha256=hashlib.sha256(evil).hexdigest(), size=len(evil)))
        monkeypatch.setattr(catalogue, "catalogue", lambda: (sent,))
        cli("data", "fetch", "tiny", "--to", tmp_path / "a" / "b").refuses("a name that leads out of the folder")
        assert not list(tmp_path.rglob("evil.jpg"))
        assert not (tmp_path / "a" / "b" / "lfw").exists()

    def test_a_folder_that_cannot_be_made_is_refused(self, cli, tmp_path, tiny):
        (tmp_path / "file").touch()
        cli("data", "fetch", "tiny", "--to", tmp_path / "file").refuses("cannot be written")

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("nonsense", "no data set named 'nonsense'; there are lfw, lfw-funneled"),
            ("lfw-deepfunneled", "no copy of deep-funneled LFW is served"),
            ("utkface", "ask"),
        ],
    )
    def test_what_cannot_be_fetched_is_refused_with_advice(self, cli, tmp_path, name, said):
        cli("data", "fetch", name, "--to", tmp_path / "to").refuses(said)
        assert not (tmp_path / "to").exists()


class TestList:
    def test_sets_terms_sources_and_what_is_here(self, cli, tmp_path, tiny):
        def here():
            (one,) = json.loads(cli("data", "list", "--to", tmp_path, "--json").out)
            return one.pop("here"), one

        state, facts = here()
        assert state is None
        assert facts == {
            "name": "tiny", "title": "two people", "bytes": tiny.size, "terms": "yours", "source": "https://example.org",
            "folder": str(tmp_path),
        }  # fmt: skip
        cli("data", "fetch", "tiny", "--to", tmp_path, "--no-extract")
        assert here()[0] == "archive"
        cli("data", "fetch", "tiny", "--to", tmp_path)
        assert here()[0] == "unpacked"

    def test_the_table_for_people(self, cli, scrubbed, tmp_path):
        scrubbed.setenv("TWINFACE_DATA", str(tmp_path / "nothing [yet]"))
        outcome = cli("data", "list")
        assert (outcome.status, outcome.err) == (0, "")
        for words in (
            "lfw ",
            "lfw-funneled",
            "180 MB",
            "research",
            "vis-www.cs.umass.edu/lfw",
            str(tmp_path / "nothing [yet]"),
        ):
            assert words in outcome.out

    def test_sources_and_terms_stand_whole_beneath_the_table(self, cli, tmp_path, tiny):
        lines = cli("data", "list", "--to", tmp_path).out.splitlines()
        assert lines[0].split() == ["name", "what", "size", "here"]
        assert lines[-3:] == ["", f"tiny: {tiny.source}; {tiny.terms}", f"folder: {tmp_path}"]
