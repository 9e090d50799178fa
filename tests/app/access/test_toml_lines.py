import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinface.app.access.toml_lines import Path, line_of, lines_of

LAW = settings(max_examples=60, deadline=None, derandomize=True)


def paths(value: Any, here: Path = ()) -> set[Path]:
    """Every path of a tree that tomllib has read."""
    items = [*value.items()] if isinstance(value, dict) else [*enumerate(value)] if isinstance(value, list) else []
    return {(*here, key) for key, _ in items} | {one for key, inner in items for one in paths(inner, (*here, key))}


def numbered(value: Any, here: Path = ()) -> dict[Path, int]:
    """Of a tree whose numbers say on which line they stand: where they do."""
    if isinstance(value, int):
        return {here: value}
    items = [*value.items()] if isinstance(value, dict) else [*enumerate(value)] if isinstance(value, list) else []
    return {path: line for key, inner in items for path, line in numbered(inner, (*here, key)).items()}


TRICKY = '''# a comment with [brackets] and "quotes
a = 2
"quoted key" = 3   # a = 9
'literal # key' = 4
dotted . "with.dot".key = 5
"tab\\tbed\\u0041" = 6
text = """
[no.table]
no = "key" \\""" still
"""
lines = \'\'\'
x = 1
\'\'\'\'\'
after = 14
one_line = """""two quotes at either end"""""
list = [ # with a comment ]
  17,
  18, [18,
    19], { x = 19, "y.z" = 19 },
  "]", \'[\', 1979-05-27 07:32:00,
]
[table]
x = 23
inline = { a = 24, b.c = 24, d = [24, "}"], e = {} }
[table . "sub table"]
x = 26
[[many]]
x = 28
[many.inner]
x = 30
[[many.more]]
x = 32
[[many.more]]
x = 34
[[many]]
inner.x = 36
[[many.more]]
x = 38
[late.child]
x = 40
[late]
x = 42
last = 43'''


class TestLines:
    @pytest.mark.parametrize("ending", ["\n", "\r\n"])
    def test_every_key_of_a_tricky_file_is_found_on_its_line(self, ending: str) -> None:
        text = TRICKY.replace("\n", ending)
        tree = tomllib.loads(text)
        found = lines_of(text)
        assert set(found) == paths(tree)
        expected = {path: line for path, line in numbered(tree).items() if line > 1}
        assert len(expected) > 20
        assert {path: found[path] for path in expected} == expected

    def test_tables_stand_where_they_are_written(self) -> None:
        found = lines_of(TRICKY)
        lines = TRICKY.splitlines()
        assert lines[found["table",] - 1] == "[table]"
        assert lines[found["late",] - 1] == "[late]"
        assert lines[found["many", 1] - 1] == "[[many]]"
        assert lines[found["many", 0, "more", 1] - 1] == "[[many.more]]"

    def test_what_is_not_there_is_said_of_what_is_around_it(self) -> None:
        found = lines_of("a = 1\n[b]\nc = 2\n")
        assert line_of(found, ("b", "missing", 3)) == 2
        assert line_of(found, ("nothing",)) == 1
        assert line_of(found, ()) == 1

    @LAW
    @given(st.data())
    def test_it_agrees_with_tomllib_on_made_up_files(self, data: st.DataObject) -> None:
        scalars = st.sampled_from(
            [
                '"a # ] } = b"',
                "'[x]'",
                '"""\na = 1\n\\""" """',
                "'''\n[t]\n'''",
                "1",
                "true",
                "2026-01-01 10:00:00",
                "-1e3",
            ]
        )
        values = st.recursive(
            scalars,
            lambda inner: (
                st.lists(inner, max_size=3).map(lambda some: "[ # ]\n" + ",\n".join(some) + "\n]")
                | st.lists(inner.filter(lambda one: "\n" not in one), max_size=3).map(
                    lambda some: "{" + ", ".join(f"k{place} = {one}" for place, one in enumerate(some)) + "}"
                )
            ),
            max_leaves=6,
        )
        lines: list[str] = []
        for number in range(data.draw(st.integers(0, 6))):
            header = data.draw(
                st.sampled_from(["", "", f"[t{number}]", f"[u.'x y'.t{number}]", "[[many]]", "[[w.many]]"])
            )
            key = data.draw(st.sampled_from([f"k{number}", f'"k {number}"', f"d{number}.e", f"d{number} . 'f g'"]))
            comment = data.draw(st.sampled_from(["", "  # x = [", "\n\n# [t]"]))
            lines += [header, f"{key} = {data.draw(values)}{comment}"]
        text = "\n".join(lines)
        assert set(lines_of(text)) == paths(tomllib.loads(text))
