"""A folder and an archive of it hold the same files, and neither gives out what lies outside."""

import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.datasets.archives import DEEPEST, LARGEST
from twinface.datasets.files import FolderFiles, TarFiles, open_files, refuse_missing
from twinface.errors import DatasetCorrupt, DatasetMissing

FILES = {"Bob/1.jpg": b"bob", "Ada/deep/1.jpg": b"ada", "readme.txt": b"", "Ada/2.jpg": b"two"}


@pytest.fixture(params=["folder", "archive"])
def files(request, tmp_path, pack, lay):
    if request.param == "folder":
        return open_files(lay(tmp_path / "set", FILES))
    return open_files(pack(tmp_path / "set.tgz", {f"./{name}": content for name, content in FILES.items()}))


class TestBoth:
    def test_names_are_sorted_paths_below_the_root(self, files):
        assert files.names() == ["Ada/2.jpg", "Ada/deep/1.jpg", "Bob/1.jpg", "readme.txt"]

    def test_the_name_is_what_the_user_gave(self, files, tmp_path):
        assert files.name in {str(tmp_path / "set"), str(tmp_path / "set.tgz")}

    def test_each_wanted_file_is_read_once(self, files):
        read = list(files.read(["Bob/1.jpg", "readme.txt", "Bob/1.jpg"]))
        assert sorted(read) == [("Bob/1.jpg", b"bob"), ("readme.txt", b"")]

    def test_nothing_wanted_nothing_read(self, files):
        assert list(files.read([])) == []

    @pytest.mark.parametrize("indexed", [True, False])
    def test_missing_files_are_counted_and_the_first_named(self, files, indexed):
        if indexed:
            files.names()
        wanted = ["Bob/1.jpg", *(f"Cleo/{number}.jpg" for number in range(5))]
        said = r"lacks 5 files: Cleo/0\.jpg, Cleo/1\.jpg, Cleo/2\.jpg and 2 more; put them there"
        with pytest.raises(DatasetMissing, match=said):
            list(files.read(wanted))

    @pytest.mark.parametrize(
        "name", ["../secret", "/etc/hostname", "Ada/../readme.txt", "./readme.txt", "Ada", "", "a\0"]
    )
    def test_only_exact_names_of_files_are_read(self, files, tmp_path, name):
        (tmp_path / "secret").write_bytes(b"secret")
        with pytest.raises(DatasetMissing, match="lacks a file: "):
            list(files.read([name]))

    @given(name=st.lists(st.sampled_from(["..", ".", "Ada", "1.jpg", "secret", "", "~"]), max_size=5).map("/".join))
    def test_no_name_leads_out(self, tmp_path_factory, pack, lay, name):
        home = tmp_path_factory.mktemp("home")
        lay(home, {"secret": b"secret", "set/Ada/1.jpg": b"ada"})
        for found in (FolderFiles(home / "set"), TarFiles(pack(home / "set.tar", {"Ada/1.jpg": b"ada"}))):
            try:
                assert dict(found.read([name])) == {"Ada/1.jpg": b"ada"}
            except DatasetMissing:
                continue


class TestOpen:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(DatasetMissing, match="nowhere: no such folder or archive; look at its spelling"):
            open_files(tmp_path / "nowhere")

    def test_other_files_are_no_archives(self, tmp_path):
        (tmp_path / "set.zip").write_bytes(b"PK")
        with pytest.raises(
            DatasetMissing, match=r"set\.zip: is no folder and no \.tar, \.tgz, \.tar\.gz archive; unpack"
        ):
            open_files(tmp_path / "set.zip")

    def test_a_path_no_system_knows(self):
        with pytest.raises(DatasetMissing):
            open_files(Path("a\0b"))


class TestFolder:
    def test_hidden_files_are_passed_over(self, tmp_path, lay):
        lay(tmp_path, {".git/x.jpg": b"", "Ada/.thumb.jpg": b"", "Ada/1.jpg": b""})
        assert FolderFiles(tmp_path).names() == ["Ada/1.jpg"]

    def test_links_within_are_followed_to_files(self, tmp_path, lay):
        lay(tmp_path / "set", {"Ada/1.jpg": b"ada"})
        (tmp_path / "set" / "Bob").mkdir()
        (tmp_path / "set" / "Bob" / "1.jpg").symlink_to("../Ada/1.jpg")
        (tmp_path / "set" / "Bob" / "2.jpg").symlink_to("1.jpg")
        files = FolderFiles(tmp_path / "set")
        assert files.names() == ["Ada/1.jpg", "Bob/1.jpg", "Bob/2.jpg"]
        assert dict(files.read(files.names())) == dict.fromkeys(files.names(), b"ada")

    @pytest.mark.parametrize("target", ["Ada", ".", "..", "nothing", "loop"])
    def test_a_link_within_to_a_folder_or_to_nothing_is_refused(self, tmp_path, lay, target):
        lay(tmp_path / "set", {"Ada/1.jpg": b"ada", "Bob/1.jpg": b"bob"})
        (tmp_path / "set" / "Bob" / "loop").symlink_to(f"../{target}" if target == "Ada" else target)
        files = FolderFiles(tmp_path / "set")
        said = "loop: is a link to a folder, or to nothing; put a copy in its place"
        with pytest.raises(DatasetCorrupt, match=said) as caught:
            files.names()
        assert "\n" not in str(caught.value)

    def test_a_hidden_link_is_passed_over(self, tmp_path, lay):
        lay(tmp_path, {"Ada/1.jpg": b"ada"})
        (tmp_path / "Ada" / ".again").symlink_to("nothing")
        assert FolderFiles(tmp_path).names() == ["Ada/1.jpg"]

    @pytest.mark.parametrize("name", ["a/" * DEEPEST + "1.jpg", "/".join(["a" * 200] * 5) + "/1.jpg"])
    def test_a_file_too_deep_to_be_named_is_refused(self, tmp_path, lay, name):
        lay(tmp_path, {name: b"", "Ada/1.jpg": b""})
        with pytest.raises(DatasetCorrupt, match="lies more than 32 steps deep or its name has more than 1,000"):
            FolderFiles(tmp_path).names()

    def test_the_root_itself_may_be_a_link(self, tmp_path, lay):
        lay(tmp_path / "set", {"Ada/1.jpg": b"ada"})
        (tmp_path / "link").symlink_to("set")
        assert list(FolderFiles(tmp_path / "link").read(["Ada/1.jpg"])) == [("Ada/1.jpg", b"ada")]

    @pytest.mark.parametrize("target", ["secret/1.jpg", "secret"])
    def test_a_link_that_leads_out_is_refused(self, tmp_path, lay, target):
        lay(tmp_path, {"secret/1.jpg": b"secret", "set/Ada/1.jpg": b"ada"})
        (tmp_path / "set" / "Ada" / "x").symlink_to(tmp_path / target)
        files = FolderFiles(tmp_path / "set")
        said = "x: is a link that leads out of the folder; put a copy in its place"
        with pytest.raises(DatasetCorrupt, match=said):
            files.names()
        with pytest.raises(DatasetCorrupt, match="a link that leads out"):
            list(files.read(["Ada/1.jpg", "Ada/x" if target.endswith("jpg") else "Ada/x/1.jpg"]))

    def test_a_neighbour_whose_name_begins_alike_is_outside(self, tmp_path, lay):
        lay(tmp_path, {"set-private/1.jpg": b"secret", "set/Ada/1.jpg": b"ada"})
        (tmp_path / "set" / "Ada" / "2.jpg").symlink_to(tmp_path / "set-private" / "1.jpg")
        with pytest.raises(DatasetCorrupt):
            list(FolderFiles(tmp_path / "set").read(["Ada/2.jpg"]))

    def test_files_too_large_for_a_picture_are_refused(self, tmp_path):
        with (tmp_path / "large.jpg").open("wb") as file:
            file.truncate(LARGEST + 1)
        with pytest.raises(DatasetCorrupt, match=r"large\.jpg: more than the 67,108,864 bytes"):
            list(FolderFiles(tmp_path).read(["large.jpg"]))

    def test_what_cannot_be_read_is_named(self, tmp_path, lay, monkeypatch):
        lay(tmp_path, {"Ada/1.jpg": b"ada"})
        files = FolderFiles(tmp_path)

        def refuse(*_words, **_options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("os.scandir", refuse)  # the tests may run as root, whom no rights stop
        with pytest.raises(DatasetMissing, match=r"cannot be read \(Permission denied\); look at its rights"):
            files.names()
        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(DatasetMissing, match=r"1\.jpg: cannot be read \(Permission denied\); look at its rights"):
            list(files.read(["Ada/1.jpg"]))


class TestTar:
    def test_what_is_no_regular_file_or_leads_out_is_as_good_as_absent(self, tmp_path, pack, odd_member):
        odd = [
            odd_member("soft.jpg", tarfile.SYMTYPE, "/etc/hostname"),
            odd_member("hard.jpg", tarfile.LNKTYPE, "Ada/1.jpg"),
            odd_member("disk.jpg", tarfile.CHRTYPE),
            odd_member("folder.jpg", tarfile.DIRTYPE),
        ]
        names = {"Ada/1.jpg": b"ada", "../up.jpg": b"up", "/root.jpg": b"root", "Ada/../Bob.jpg": b"bob"}
        files = TarFiles(pack(tmp_path / "x.tgz", names, odd))
        assert files.names() == ["Ada/1.jpg"]
        for name in ("soft.jpg", "hard.jpg", "disk.jpg", "folder.jpg", *list(names)[1:]):
            with pytest.raises(DatasetMissing):
                list(files.read([name]))

    def test_names_too_deep_or_too_long_are_as_good_as_absent(self, tmp_path, pack):
        odd = {"a/" * 2000 + "1.jpg": b"", "a/" * DEEPEST + "1.jpg": b"", "a" * 1001: b""}
        files = TarFiles(pack(tmp_path / "x.tgz", {**odd, "Ada/1.jpg": b"ada"}))
        assert files.names() == ["Ada/1.jpg"]
        for name in odd:
            with pytest.raises(DatasetMissing):
                list(files.read([name]))

    def test_of_two_members_with_one_name_the_first_counts(self, tmp_path, pack):
        files = TarFiles(pack(tmp_path / "x.tgz", {"1.jpg": b"first", "./1.jpg": b"second"}))
        assert (files.names(), list(files.read(["1.jpg"]))) == (["1.jpg"], [("1.jpg", b"first")])

    def test_files_come_in_the_order_of_the_archive(self, tmp_path, pack):
        files = TarFiles(pack(tmp_path / "x.tgz", {"b": b"", "c": b"", "a": b""}))
        assert [name for name, _ in files.read(["a", "b", "c"])] == ["b", "c", "a"]

    def test_reading_ends_with_the_last_wanted_file(self, tmp_path, pack):
        path = pack(tmp_path / "x.tar", {"a": b"a", "b": b"b", "c": b"c"})
        path.write_bytes(path.read_bytes()[:2048])  # a and b; c is cut off
        files = TarFiles(path)
        assert list(files.read(["a", "b"])) == [("a", b"a"), ("b", b"b")]
        with pytest.raises(DatasetCorrupt):
            list(files.read(["a", "c"]))

    def test_nothing_is_written(self, tmp_path, pack):
        files = TarFiles(pack(tmp_path / "x.tgz", FILES))
        list(files.read(files.names()))
        assert [path.name for path in tmp_path.iterdir()] == ["x.tgz"]


def test_nothing_missing_nothing_said():
    refuse_missing("here", [])


def test_what_names_the_missing_files_is_said():
    with pytest.raises(DatasetMissing, match=r"here: lacks a file that pairs\.txt names: a; put them there"):
        refuse_missing("here", ["a"], "pairs.txt")
