from pathlib import Path

import pytest

from twinface.datasets.pairs import LfwPair, people_in, read_pairs
from twinface.errors import DatasetCorrupt, DatasetMissing

MATED = "Ada_Lovelace\t1\t2\nBob\t3\t4\n"
NON_MATED = "Ada_Lovelace\t1\tBob\t2\nCleo\t1\tBob\t7\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "pairs.txt"
    path.write_text(text, encoding="utf-8")
    return path


class TestReadPairs:
    def test_view_1_is_one_fold(self, tmp_path: Path) -> None:
        assert read_pairs(written(tmp_path, "2\n" + MATED + NON_MATED)) == [
            LfwPair(("Ada_Lovelace", 1), ("Ada_Lovelace", 2), True),
            LfwPair(("Bob", 3), ("Bob", 4), True),
            LfwPair(("Ada_Lovelace", 1), ("Bob", 2), False),
            LfwPair(("Cleo", 1), ("Bob", 7), False),
        ]

    def test_view_2_tells_its_folds_apart(self, tmp_path: Path) -> None:
        pairs = read_pairs(written(tmp_path, "3\t2\n" + (MATED + NON_MATED) * 3))
        assert [pair.fold for pair in pairs] == [0] * 4 + [1] * 4 + [2] * 4
        assert [pair.mated for pair in pairs] == [True, True, False, False] * 3

    def test_blank_lines_and_windows_line_ends_do_not_matter(self, tmp_path: Path) -> None:
        plain = read_pairs(written(tmp_path, "2\n" + MATED + NON_MATED))
        (tmp_path / "pairs.txt").write_bytes(("2\n" + MATED + "\n" + NON_MATED + "\n\n").replace("\n", "\r\n").encode())
        assert read_pairs(tmp_path / "pairs.txt") == plain

    def test_a_missing_list_is_named_with_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetMissing, match=r"pairs\.txt: no such pair list; give the folder .* with --root"):
            read_pairs(tmp_path / "pairs.txt")

    def test_a_folder_is_no_list(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetMissing):
            read_pairs(tmp_path)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n",
            "pairs\n",
            "0\n",
            "0\nAda 1 2\n",
            "-1\n",
            "2 0\n",
            "1 2 3\nAda 1 2\nAda 1 Bob 2\n",
            "1\nAda 1\nAda 1 Bob 2\n",
            "1\nAda 1 2\nAda 1 Bob 2 3\n",
            "1\nAda one 2\nAda 1 Bob 2\n",
            "1\nAda 0 2\nAda 1 Bob 2\n",
            "1\nAda 1 2\nAda 1 Bob -2\n",
            "<html>404 Not Found</html>\n",
        ],
    )
    def test_a_malformed_list_is_refused_in_one_line(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(DatasetCorrupt, match=r"pairs\.txt: not an LFW pair list .*; fetch it again") as caught:
            read_pairs(written(tmp_path, text))
        assert "\n" not in str(caught.value)

    def test_bytes_that_are_no_text_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "pairs.txt").write_bytes(b"1\n\xff\xfe\x00\x9f")
        with pytest.raises(DatasetCorrupt, match="not an LFW pair list"):
            read_pairs(tmp_path / "pairs.txt")

    @pytest.mark.parametrize(
        ("rows", "held"),
        [(MATED, "2 and 0"), (MATED + NON_MATED + MATED, "4 and 2"), (MATED + MATED, "4 and 0"), ("", "0 and 0")],
    )
    def test_a_list_that_does_not_hold_what_its_header_promises_is_refused(
        self, tmp_path: Path, rows: str, held: str
    ) -> None:
        with pytest.raises(DatasetCorrupt, match=f"promises 2 mated and as many non-mated pairs, file holds {held}"):
            read_pairs(written(tmp_path, "2\n" + rows))


def test_people_in_pairs_are_named_once(tmp_path: Path) -> None:
    assert people_in(read_pairs(written(tmp_path, "2\n" + MATED + NON_MATED))) == {"Ada_Lovelace", "Bob", "Cleo"}
    assert people_in([]) == set()
