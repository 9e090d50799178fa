"""Archives are read in one pass; what is cut short, damaged or hostile is told from what is whole."""

import gzip
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinface.datasets.archives import DEEPEST, GLOBALS, HEADER, HEADERS, LARGEST, LONGEST, is_archive, plain, walk
from twinface.errors import DatasetCorrupt, DatasetMissing

FILES = {"a/one.jpg": b"1" * 700, "a/two.jpg": b"", "b/three.jpg": b"3" * 10}


def contents(path):
    return {member.name: content() for member, content in walk(path) if member.kind == "file"}


class TestPlain:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [("a/b.jpg", "a/b.jpg"), ("./a//b.jpg", "a/b.jpg"), ("a/./b", "a/b"), ("a/", "a"), ("..a/b..", "..a/b..")],
    )
    def test_names_below_the_root_are_cleaned(self, name, expected):
        assert plain(name) == expected

    @pytest.mark.parametrize("name", ["", ".", "./", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", "a\0b"])
    def test_other_names_are_none(self, name):
        assert plain(name) is None

    @pytest.mark.parametrize(
        ("longest", "beyond"),
        [("a" * LONGEST, "a" * (LONGEST + 1)), ("a/" * DEEPEST, "a/" * (DEEPEST + 1)), ("a/b", "/" * 2000 + "a/b")],
    )
    def test_long_and_deep_names_are_none(self, longest, beyond):
        assert plain(longest) == longest.strip("/")
        assert plain(beyond) is None

    @given(st.lists(st.sampled_from(["a", "b.jpg", "..", ".", "", "...", "/"]), max_size=6).map("/".join))
    def test_what_is_cleaned_stays_below_and_is_clean(self, name):
        cleaned = plain(name)
        if cleaned is not None:
            assert plain(cleaned) == cleaned
            assert not set(cleaned.split("/")) & {"", ".", ".."}


@pytest.mark.parametrize("name", ["x.tar", "x.tgz", "x.TAR.GZ"])
def test_archives_are_known_by_their_ending(tmp_path, name):
    assert is_archive(tmp_path / name)
    assert not is_archive(tmp_path / f"{name}.part")


@pytest.mark.parametrize("name", ["x.tar", "x.tgz"])
def test_every_file_is_read_in_order(tmp_path, pack, name):
    found = contents(pack(tmp_path / name, FILES))
    assert found == FILES
    assert list(found) == list(FILES)


def test_compression_is_told_by_content_not_by_name(tmp_path, pack):
    plainly = pack(tmp_path / "x.tar", FILES)
    assert contents(plainly.rename(tmp_path / "x.tgz")) == FILES


def test_kinds_are_told_apart(tmp_path, pack, odd_member):
    odd = [
        odd_member("folder", tarfile.DIRTYPE),
        odd_member("link", tarfile.SYMTYPE, "a/one.jpg"),
        odd_member("hard", tarfile.LNKTYPE, "a/one.jpg"),
        odd_member("pipe", tarfile.FIFOTYPE),
        odd_member("disk", tarfile.BLKTYPE),
    ]
    kinds = {member.name: member.kind for member, _ in walk(pack(tmp_path / "x.tgz", {"file": b""}, odd))}
    assert kinds == {"file": "file", "folder": "folder", "link": "other", "hard": "other", "pipe": "other", "disk": "other"}  # fmt: skip  # noqa: E501


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(DatasetMissing, match=r"x\.tar: cannot be read \(No such file"):
        list(walk(tmp_path / "x.tar"))


class TestDamage:
    def test_a_plain_archive_cut_anywhere_is_refused(self, tmp_path, pack):
        whole = pack(tmp_path / "whole.tar", FILES).read_bytes()
        end = len(whole.rstrip(b"\0")) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE + tarfile.BLOCKSIZE
        cut = tmp_path / "cut.tar"
        for size in [0, 1, 511, 512, 513, 1024, 1536, 2048, 2560, end - 1, end]:
            cut.write_bytes(whole[:size])
            with pytest.raises(DatasetCorrupt, match=r"cut\.tar: not a whole \.tar or \.tar\.gz archive .*; fetch it"):
                list(walk(cut))

    def test_a_compressed_archive_cut_anywhere_is_refused(self, tmp_path, pack):
        whole = pack(tmp_path / "whole.tgz", FILES).read_bytes()
        cut = tmp_path / "cut.tgz"
        for size in range(len(whole)):
            cut.write_bytes(whole[:size])
            with pytest.raises(DatasetCorrupt):
                list(walk(cut))

    def test_one_wrong_byte_is_noticed(self, tmp_path, pack):
        whole = pack(tmp_path / "whole.tgz", FILES).read_bytes()
        bad = tmp_path / "bad.tgz"
        start = whole.index(b"\0", 10) + 1  # after gzip's own header, which ends with the name
        for place in range(start, len(whole)):
            bad.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
            with pytest.raises(DatasetCorrupt):
                list(walk(bad))

    def test_a_broken_header_is_not_taken_for_the_end(self, tmp_path, pack):
        path = pack(tmp_path / "x.tar", FILES)
        content = bytearray(path.read_bytes())
        place = content.index(b"b/three.jpg")
        content[place] ^= 1
        path.write_bytes(content)
        with pytest.raises(DatasetCorrupt, match="bad checksum"):
            list(walk(path))

    @pytest.mark.parametrize("content", [b"PK\3\4" + b"\0" * 600, b"<html>404</html>", b"\x1f\x8b\x08", b"\xff" * 2000])
    def test_other_files_are_no_archives(self, tmp_path, content):
        (tmp_path / "x.tgz").write_bytes(content)
        with pytest.raises(DatasetCorrupt) as caught:
            list(walk(tmp_path / "x.tgz"))
        assert "\n" not in str(caught.value)

    @given(st.binary(max_size=3000), st.booleans())
    def test_no_bytes_whatever_cause_another_error(self, tmp_path_factory, content, compressed):
        path = tmp_path_factory.mktemp("noise") / "x.tgz"
        path.write_bytes(gzip.compress(content) if compressed else content)
        with suppress(DatasetCorrupt):
            list(walk(path))


class TestHostileSizes:
    def test_a_large_file_is_refused_when_it_is_read_and_no_hindrance_before(self, tmp_path, pack):
        path = pack(tmp_path / "x.tgz", {"large": bytes(LARGEST + 1), "small": b"2"})
        found = {}
        for member, content in walk(path):
            if member.name == "large":
                with pytest.raises(DatasetCorrupt, match="large has 67,108,865 bytes; more than 67,108,864 are not"):
                    content()
            else:
                found[member.name] = content()
        assert found == {"small": b"2"}

    @pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
    def test_a_header_that_claims_gigabytes_is_refused_before_it_is_read(self, tmp_path, odd_member, kind):
        header = odd_member("x", kind)
        header.size = 2**40
        (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        with pytest.raises(DatasetCorrupt, match="claims 1099511627"):
            list(walk(tmp_path / "x.tar"))

    @pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.DIRTYPE])
    @pytest.mark.parametrize("size", [-1, -512, -1024])
    def test_a_negative_size_does_not_send_the_reader_in_circles(self, tmp_path, odd_member, kind, size):
        header = odd_member("x", kind)
        header.size = size
        (tmp_path / "x.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        try:
            members = [member for member, _ in walk(tmp_path / "x.tar")]
        except DatasetCorrupt:
            return
        assert [member.kind for member in members] == ["folder"]  # a folder's size means nothing

    def test_a_negative_size_in_an_extended_header_is_refused(self, tmp_path):
        (tmp_path / "x.tar").write_bytes(extended(b"x", record("size", b"-1024")) + header("y") + bytes(1024))
        with pytest.raises(DatasetCorrupt):
            list(walk(tmp_path / "x.tar"))


def header(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.USTAR_FORMAT)


def extended(kind: bytes, content: bytes) -> bytes:
    return header("x", kind, len(content)) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def record(key: str, value: bytes) -> bytes:
    said = b" %b=%b\n" % (key.encode(), value)
    length = len(said) + len(str(len(said)))
    length = len(said) + len(str(length))
    return b"%d%b" % (length, said)


def told(path, *blocks: bytes) -> list[str]:
    path.write_bytes(gzip.compress(b"".join(blocks) + bytes(1024), 1))
    return [member.name for member, _ in walk(path)]


class TestExtendedHeaders:
    """What stands before a member is bounded, as tarfile interprets it in time and memory that are not."""

    def test_honest_ones_are_followed(self, tmp_path):
        name = "a/" * 20 + "ä" * 300 + "7" * 100
        blocks = [
            extended(b"g", record("comment", b"made by hand")),
            extended(
                b"x", record("path", name.encode()) + record("mtime", b"1.5") + record("xattr", b"=\n1 2=\0" * 300)
            ),
            header("cut"),
            extended(b"K", b"where" * 30 + b"\0") + extended(b"L", b"n" * 300 + b"\0"),
            header("cut"),
        ]
        assert told(tmp_path / "x.tgz", *blocks) == [name, "n" * 300]

    @pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_the_longest_names_of_other_writers_are_read(self, tmp_path, form):
        name = "/".join(["ü" * 80] * 12)
        with tarfile.open(tmp_path / "x.tgz", "w:gz", format=form) as archive:
            info = tarfile.TarInfo(name)
            info.mtime = 1.25
            archive.addfile(info)
        assert [member.name for member, _ in walk(tmp_path / "x.tgz")] == [name]

    @pytest.mark.parametrize("kind", list("xgXLK"))
    def test_one_that_is_too_large_is_refused(self, tmp_path, kind):
        with pytest.raises(DatasetCorrupt, match="a header claims 200000 bytes"):
            told(tmp_path / "x.tgz", extended(kind.encode(), b"1" * 200_000), header("y"))
        with pytest.raises(DatasetCorrupt, match="a header claims"):
            told(tmp_path / "x.tgz", extended(kind.encode(), bytes(HEADER + 1)), header("y"))

    @pytest.mark.parametrize("kind", list("xgX"))
    @pytest.mark.parametrize(
        "content",
        [
            b"1" * 8000, b"2 " * 4000 + b"=\n", b"5 a=b\n", b"7 a=b\n", b"0 a=b\n", b"6 abc\n", b"-1 a=b\n",
            b"99 a=b\n", b"8 hdrcharset=x\n", b" 6 a=b\n", b"a=b\n", record("a", b"b") + b"x",
        ],
    )  # fmt: skip
    def test_one_that_is_not_records_is_refused(self, tmp_path, kind, content):
        with pytest.raises(DatasetCorrupt, match="an extended header is malformed"):
            told(tmp_path / "x.tgz", extended(kind.encode(), content), header("y"))

    def test_one_of_digits_without_end_is_refused(self, tmp_path):
        with pytest.raises(DatasetCorrupt, match="a number of more than 127 digits"):
            told(tmp_path / "x.tgz", extended(b"x", record("size", b"1" * 8000)), header("y"))

    @pytest.mark.parametrize("kind", list("xgXLK"))
    def test_very_many_before_one_member_are_refused(self, tmp_path, kind):
        content = b"name\0" if kind in "LK" else record("path", b"name")
        with pytest.raises(DatasetCorrupt, match="the headers of one member have more than 32,768 bytes"):
            told(tmp_path / "x.tgz", extended(kind.encode(), content) * 1500, header("y"))

    def test_few_before_one_member_are_not(self, tmp_path):
        each = extended(b"L", b"name\0")
        assert told(tmp_path / "x.tgz", (each * 4 + header("y")) * 2000) == ["name"] * 2000
        assert len(each) * 4 < HEADERS < len(each) * 2000

    def test_facts_about_all_members_are_counted(self, tmp_path):
        def stated(many):
            return (extended(b"g", record(f"fact {n}", b"is so")) + header("y") for n in range(many))

        assert len(told(tmp_path / "x.tgz", *stated(GLOBALS))) == GLOBALS
        with pytest.raises(DatasetCorrupt, match="more than 100 facts are stated of all members"):
            told(tmp_path / "x.tgz", *stated(GLOBALS + 1))

    def test_the_same_fact_may_be_stated_again(self, tmp_path):
        each = extended(b"g", record("comment", b"is so")) + header("y")
        assert len(told(tmp_path / "x.tgz", each * 300)) == 300

    def test_a_sparse_file_cannot_state_holes_without_end(self, tmp_path):
        first = bytearray(header("x", tarfile.GNUTYPE_SPARSE))
        first[482] = 1  # more of them follow
        first[148:156] = b"%06o\0 " % (sum(first[:148]) + 8 * 32 + sum(first[156:]))
        more = (b"%011o " % 1) * 42 + b"\1" + bytes(7)
        with pytest.raises(DatasetCorrupt, match="the headers of one member have more than"):
            told(tmp_path / "x.tgz", bytes(first), more * 2000)

    def test_a_sparse_file_of_pax_cannot_state_holes_without_end(self, tmp_path):
        kind = record("GNU.sparse.major", b"1") + record("GNU.sparse.minor", b"0")
        holes = b"9999999\n" + b"0\n" * 252
        with pytest.raises(DatasetCorrupt, match="the headers of one member have more than"):
            told(tmp_path / "x.tgz", extended(b"x", kind), header("y", size=512 * 2000), holes * 2000)
