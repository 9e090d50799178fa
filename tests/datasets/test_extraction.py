"""Unpacking: all of an honest archive, nothing of a hostile one, and never a byte outside the folder."""

import os
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.datasets.extraction import Limits, extract
from twinface.errors import DatasetCorrupt, DatasetMissing, OutputError

FILES = {"set/Ada/1.jpg": b"ada", "set/Bob/1.jpg": b"bob" * 400, "set/notes.txt": b""}


def tree(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refused(archive, *said):
    """The archive is refused in one line and leaves nothing but itself."""
    home = archive.parent
    before = sorted(home.rglob("*"))
    with pytest.raises(DatasetCorrupt) as caught:
        extract(archive, home / "out")
    assert sorted(home.rglob("*")) == before
    message = str(caught.value)
    assert "\n" not in message
    assert "not unpacked" in message
    for words in said:
        assert words in message


class TestHonest:
    def test_the_one_folder_around_everything_becomes_the_folder(self, tmp_path, pack):
        extract(pack(tmp_path / "x.tgz", FILES), tmp_path / "out")
        assert tree(tmp_path / "out") == {"Ada/1.jpg": b"ada", "Bob/1.jpg": b"bob" * 400, "notes.txt": b""}
        assert names(tmp_path) == ["out", "x.tgz"]

    def test_several_folders_are_kept(self, tmp_path, pack):
        extract(pack(tmp_path / "x.tar", {"./Ada/1.jpg": b"a", "Bob/1.jpg": b"b"}), tmp_path / "out")
        assert tree(tmp_path / "out") == {"Ada/1.jpg": b"a", "Bob/1.jpg": b"b"}

    def test_one_file_is_put_in_the_folder(self, tmp_path, pack):
        extract(pack(tmp_path / "x.tar", {"1.jpg": b"a"}), tmp_path / "out")
        assert tree(tmp_path / "out") == {"1.jpg": b"a"}

    def test_folders_may_be_members_more_than_once(self, tmp_path, pack, odd_member):
        folders = [odd_member(name, tarfile.DIRTYPE) for name in ("./", "set", "set/", "set/empty")]
        extract(pack(tmp_path / "x.tgz", FILES, folders), tmp_path / "out")
        assert (tmp_path / "out" / "empty").is_dir()

    def test_rights_and_owners_are_not_taken_from_the_archive(self, tmp_path, pack, odd_member):
        evil = odd_member("tool", tarfile.REGTYPE)
        evil.mode, evil.uid = 0o6777, 12345
        (tmp_path / "mine").touch()
        extract(pack(tmp_path / "x.tgz", {}, [evil]), tmp_path / "out")
        found, mine = (tmp_path / "out" / "tool").stat(), (tmp_path / "mine").stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (stat.S_IMODE(mine.st_mode), mine.st_uid)

    def test_what_killed_runs_left_is_removed_a_day_later(self, tmp_path, pack):
        name = ".twinface-{}.part"
        kept = [name.format("b" * 32), name.format("c" * 31), name.format("C" * 32), name.format("c" * 32) + "x", "Ada"]
        for folder in [name.format("a" * 32), *kept]:
            (tmp_path / folder / "Bob").mkdir(parents=True)
            (tmp_path / folder / "Bob" / "1.jpg").write_bytes(b"bob")
            if folder != kept[0]:  # the one that another run may be filling now
                os.utime(tmp_path / folder, (0, 0))
        (tmp_path / name.format("d" * 32)).write_bytes(b"a file")
        (tmp_path / name.format("e" * 32)).symlink_to("Ada")
        os.utime(tmp_path / name.format("d" * 32), (0, 0))
        os.utime(tmp_path / name.format("e" * 32), (0, 0), follow_symlinks=False)
        extract(pack(tmp_path / "x.tgz", FILES), tmp_path / "out")
        left = [*kept, name.format("d" * 32), name.format("e" * 32), "out", "x.tgz"]
        assert names(tmp_path) == sorted(left)
        assert (tmp_path / "Ada" / "Bob" / "1.jpg").read_bytes() == b"bob"

    def test_progress_is_told_in_bytes(self, tmp_path, pack):
        told = []
        extract(pack(tmp_path / "x.tgz", FILES), tmp_path / "out", progress=told.append)
        assert told == [3, 1203, 1203]


class TestHostile:
    @pytest.mark.parametrize(
        "name", ["../out.jpg", "/tmp/out.jpg", "a/../../out.jpg", "..", "C:out.jpg", "..\\out.jpg"]
    )
    def test_names_that_lead_out(self, tmp_path, pack, name):
        refused(pack(tmp_path / "x.tgz", {"a/1.jpg": b"", name: b"out"}), "a name that leads out of the folder")

    @pytest.mark.parametrize("name", ["a/" * 2000 + "1.jpg", "a/" * 32 + "1.jpg", "a" * 1001])
    def test_names_that_are_too_deep_or_too_long(self, tmp_path, pack, name):
        refused(pack(tmp_path / "x.tgz", {"a/1.jpg": b"", name: b""}), "or is too long or too deep")

    @pytest.mark.parametrize("name", ["..", "../", "a/../..", "/"])
    def test_folders_that_lead_out(self, tmp_path, pack, odd_member, name):
        archive = pack(tmp_path / "x.tgz", {"a/1.jpg": b""}, [odd_member(name, tarfile.DIRTYPE)])
        if name == "/":  # the root of the archive; nothing is made
            extract(archive, tmp_path / "out")
            assert tree(tmp_path / "out") == {"1.jpg": b""}
        else:
            refused(archive, "leads out")

    @pytest.mark.parametrize(
        ("kind", "target"),
        [
            (tarfile.SYMTYPE, "/etc"), (tarfile.SYMTYPE, ".."), (tarfile.SYMTYPE, "a"), (tarfile.LNKTYPE, "a/1.jpg"),
            (tarfile.LNKTYPE, "/etc/passwd"), (tarfile.CHRTYPE, ""), (tarfile.BLKTYPE, ""), (tarfile.FIFOTYPE, ""),
        ],
    )  # fmt: skip
    def test_links_devices_and_pipes(self, tmp_path, pack, odd_member, kind, target):
        refused(pack(tmp_path / "x.tgz", {"a/1.jpg": b""}, [odd_member("b", kind, target)]), "b is a link or a device")

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("a/1.jpg", "./a//1.jpg"), ("a/1.jpg", "a/1.JPG"), ("a/1.jpg", "A/2.jpg"),
            ("a/\u00e9", "a/e\u0301"), ("\u00e9/1", "e\u0301/2"), ("a", "a/1.jpg"),
            ("A", "a/1.jpg"), ("a/1.jpg", "a"), ("straße", "STRASSE"),
        ],
    )  # fmt: skip
    def test_two_names_that_are_one_on_some_disks(self, tmp_path, pack, one, other):
        refused(pack(tmp_path / "x.tgz", {one: b"1", other: b"2"}), "share one name")

    def test_one_name_twice(self, tmp_path, pack, odd_member):
        again = odd_member("a/1.jpg", tarfile.REGTYPE)
        refused(pack(tmp_path / "x.tgz", {"a/1.jpg": b"1"}, [again]), "share one name")

    def test_too_many_bytes(self, tmp_path, pack):
        archive = pack(tmp_path / "x.tgz", {f"{number}.jpg": bytes(2**20) for number in range(5)})
        assert archive.stat().st_size < 2**15
        with pytest.raises(DatasetCorrupt, match="more than 9 members or 4,194,304 bytes; not unpacked"):
            extract(archive, tmp_path / "out", limits=Limits(size=4 * 2**20, members=9))
        assert names(tmp_path) == ["x.tgz"]

    def test_too_many_members(self, tmp_path, pack, odd_member):
        archive = pack(tmp_path / "x.tgz", {"1.jpg": b""}, [odd_member(f"{n}", tarfile.DIRTYPE) for n in range(9)])
        with pytest.raises(DatasetCorrupt, match="more than 9 members"):
            extract(archive, tmp_path / "out", limits=Limits(members=9))
        assert names(tmp_path) == ["x.tgz"]

    def test_too_many_folders_that_only_names_make(self, tmp_path, pack):
        archive = pack(tmp_path / "x.tgz", {"a/b/c/d/1.jpg": b"", "a/e/f/g/1.jpg": b""})
        with pytest.raises(DatasetCorrupt, match="more than 8 members"):
            extract(archive, tmp_path / "out", limits=Limits(members=8))
        extract(archive, tmp_path / "out", limits=Limits(members=9))
        assert names(tmp_path) == ["out", "x.tgz"]

    @given(
        members=st.lists(
            st.lists(st.sampled_from(["a", "b", "..", ".", "", "A", "\\..", "c:"]), min_size=1, max_size=4).map(
                "/".join
            ),
            max_size=4,
        ),
        link=st.sampled_from([None, ("a", ".."), ("b", "../secret"), ("a/b", "/")]),
    )
    def test_no_archive_touches_anything_outside(self, tmp_path_factory, pack, odd_member, members, link):
        home = tmp_path_factory.mktemp("home")
        (home / "secret").write_bytes(b"secret")
        odd = [odd_member(link[0], tarfile.SYMTYPE, link[1])] if link else []
        (home / "in").mkdir()
        archive = pack(home / "x.tar", {name or "x": b"evil" for name in members}, odd)
        before = tree(home)
        try:
            extract(archive, home / "in" / "out")
        except DatasetCorrupt:
            assert list((home / "in").iterdir()) == []
        else:
            assert names(home / "in") == ["out"]
            assert set(tree(home / "in").values()) <= {b"evil"}
            assert not any(path.is_symlink() for path in (home / "in").rglob("*"))
        assert {name: content for name, content in tree(home).items() if not name.startswith("in/")} == before


class TestTrouble:
    @pytest.mark.parametrize("files", [{}, {"": b""}])
    def test_an_archive_of_nothing(self, tmp_path, pack, files):
        with pytest.raises(DatasetCorrupt):
            extract(pack(tmp_path / "x.tgz", files), tmp_path / "out")
        assert names(tmp_path) == ["x.tgz"]

    def test_damage_near_the_end_leaves_nothing_behind(self, tmp_path, pack):
        archive = pack(tmp_path / "x.tgz", FILES)
        archive.write_bytes(archive.read_bytes()[:-8])
        with pytest.raises(DatasetCorrupt, match="not a whole"):
            extract(archive, tmp_path / "out")
        assert names(tmp_path) == ["x.tgz"]

    def test_no_archive(self, tmp_path):
        with pytest.raises(DatasetMissing):
            extract(tmp_path / "x.tgz", tmp_path / "out")
        assert names(tmp_path) == []

    def test_what_is_there_is_not_touched(self, tmp_path, pack):
        archive = pack(tmp_path / "x.tgz", FILES)
        (tmp_path / "out").mkdir()
        with pytest.raises(OutputError, match="out: is there already; remove it first or choose another place"):
            extract(archive, tmp_path / "out")
        (tmp_path / "dangling").symlink_to("nowhere")
        with pytest.raises(OutputError):
            extract(archive, tmp_path / "dangling")

    def test_no_folder_to_put_it_in(self, tmp_path, pack):
        with pytest.raises(OutputError, match=r"out: cannot be written \(No such file or directory\)"):
            extract(pack(tmp_path / "x.tgz", FILES), tmp_path / "nowhere" / "out")

    def test_a_full_disk_leaves_nothing_behind(self, tmp_path, pack, monkeypatch):
        archive = pack(tmp_path / "x.tgz", FILES)
        real = Path.open

        def full(path, mode="r", *words, **options):
            if mode == "xb" and path.parent.name == "Bob":
                raise OSError(28, "No space left on device")
            return real(path, mode, *words, **options)

        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(OutputError, match="No space left on device"):
            extract(archive, tmp_path / "out")
        assert names(tmp_path) == ["x.tgz"]

    def test_an_interruption_leaves_nothing_behind(self, tmp_path, pack):
        def interrupt(_written):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            extract(pack(tmp_path / "x.tgz", FILES), tmp_path / "out", progress=interrupt)
        assert names(tmp_path) == ["x.tgz"]


def test_the_limits_hold_lfw_with_room():
    assert Limits().members > 2 * (13_233 + 5_749)
    assert Limits().size > 2 * 200_000_000
