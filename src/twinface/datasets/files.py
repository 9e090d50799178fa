"""Files of a data set, in a folder or in an archive that is read where it lies."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from twinface.core.files import reason, shown
from twinface.datasets.archives import DEEPEST, ENDINGS, LARGEST, LONGEST, is_archive, plain, walk
from twinface.errors import DatasetCorrupt, DatasetMissing


class Files(Protocol):
    """Where the files of a data set lie; names are POSIX paths below the root."""

    @property
    def name(self) -> str:
        """The root, as the user gave it."""
        ...

    def names(self) -> list[str]:
        """Regular files, sorted.

        Raises:
            DataError: the root cannot be read or is damaged.
        """
        ...

    def read(self, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Name and content of each wanted file, once, in the order that is cheapest here.

        Raises:
            DatasetMissing: some are not there; says how many and names the first.
            DatasetCorrupt: one has more than `archives.LARGEST` bytes, or the archive is damaged.
        """
        ...


def open_files(path: Path) -> Files:
    """The files of a folder or of a .tar, .tgz or .tar.gz, which is not unpacked.

    Raises:
        DatasetMissing: it is neither.
    """
    try:
        if path.is_dir():
            return FolderFiles(path)
        if path.is_file():
            if is_archive(path):
                return TarFiles(path)
            raise DatasetMissing(f"{shown(path)}: is no folder and no {', '.join(ENDINGS)} archive; unpack it first")
    except (OSError, ValueError) as error:
        raise DatasetMissing(f"{shown(path)}: cannot be read ({reason(error)}); give another place") from error
    raise DatasetMissing(f"{shown(path)}: no such folder or archive; look at its spelling")


@dataclass(frozen=True)
class FolderFiles:
    """Files below a folder, at any depth.

    What is hidden (a name that begins with a dot) is passed over. Links are followed to files within the folder; one
    that leads out of it, to a folder or to nothing is refused, not passed over: data from strangers shall not bring the
    user's other files into a report, and data of one's own shall not be left out unsaid.
    """

    root: Path

    @property
    def name(self) -> str:
        """The folder's path."""
        return str(self.root)

    def names(self) -> list[str]:
        """Regular files, sorted.

        Raises:
            DatasetMissing: a folder cannot be read.
            DatasetCorrupt: a link leads out of the root, to a folder or to nothing; a name is too long or too deep.
        """
        return list(self._index)

    @cached_property
    def _index(self) -> tuple[str, ...]:
        found: list[str] = []
        waiting = [""]
        while waiting:
            above = waiting.pop()
            try:
                with os.scandir(self.root / above) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        if entry.is_symlink():
                            self._stay_inside(above + entry.name)
                            self._leads_to_file(entry)
                        if entry.is_file():
                            self._not_too_deep(above + entry.name)
                            found.append(above + entry.name)
                        elif entry.is_dir(follow_symlinks=False):
                            waiting.append(above + entry.name + "/")
            except (OSError, ValueError) as error:
                raise DatasetMissing(
                    f"{shown(self.root / above)}: cannot be read ({reason(error)}); look at its rights"
                ) from error
        return tuple(sorted(found))

    @cached_property
    def _real_root(self) -> Path:
        return Path(os.path.realpath(self.root))

    def _stay_inside(self, name: str) -> None:
        path = self.root / name
        if not Path(os.path.realpath(path)).is_relative_to(self._real_root):
            raise DatasetCorrupt(f"{shown(path)}: is a link that leads out of the folder; put a copy in its place")

    def _not_too_deep(self, name: str) -> None:
        if plain(name) is None:
            raise DatasetCorrupt(
                f"{shown(self.root / name)}: lies more than {DEEPEST} steps deep or its name has more than {LONGEST:,} "
                "characters; put it higher"
            )

    def _leads_to_file(self, link: os.DirEntry[str]) -> None:
        if not Path(link.path).is_file():  # which, other than that of a DirEntry, knows links in circles
            raise DatasetCorrupt(f"{shown(link.path)}: is a link to a folder, or to nothing; put a copy in its place")

    def read(self, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The wanted files in order of name; that all are there is seen before the first is read.

        Raises:
            DatasetMissing: some are not there, or cannot be read.
            DatasetCorrupt: one is too large, or a link that leads out of the root.
        """
        names = sorted(set(wanted))
        refuse_missing(self.name, [name for name in names if plain(name) != name or not (self.root / name).is_file()])
        return self._contents(names)

    def _contents(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        looked_at = None
        for name in names:
            path = self.root / name
            if path.parent != looked_at or path.is_symlink():  # following every step of every path takes long
                self._stay_inside(name)
                looked_at = path.parent
            yield name, self._content(path)

    def _content(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            raise DatasetMissing(f"{shown(path)}: cannot be read ({reason(error)}); look at its rights") from error
        if len(content) > LARGEST:
            raise DatasetCorrupt(f"{shown(path)}: more than the {LARGEST:,} bytes that a picture may have")
        return content


@dataclass(frozen=True)
class TarFiles:
    """Files in a tar archive, compressed with gzip or not.

    Only regular files count: links, devices and names that are absolute, climb with ".." or are beyond
    `archives.LONGEST` and `archives.DEEPEST` are as good as absent. Of several members with one name the first counts.
    """

    path: Path

    @property
    def name(self) -> str:
        """The archive's path."""
        return str(self.path)

    def names(self) -> list[str]:
        """Regular files, sorted. Reads the archive to its end, once.

        Raises:
            DataError: the archive cannot be read or is damaged.
        """
        return list(self._index)

    @cached_property
    def _index(self) -> tuple[str, ...]:
        found = {plain(member.name) for member, _ in walk(self.path) if member.kind == "file"}
        return tuple(sorted(name for name in found if name is not None))

    def read(self, wanted: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The wanted files in the order of the archive, in one pass that ends with the last of them.

        Raises:
            DatasetMissing: some are not there; at once where `names` was called before, else at the end.
            DatasetCorrupt: one is too large, or the archive is damaged.
        """
        left = set(wanted)
        if "_index" in self.__dict__:
            refuse_missing(self.name, sorted(left.difference(self._index)))
        return self._pass(left)

    def _pass(self, left: set[str]) -> Iterator[tuple[str, bytes]]:
        if not left:
            return
        for member, content in walk(self.path):
            name = plain(member.name)
            if member.kind == "file" and name is not None and name in left:
                left.remove(name)
                yield name, content()
                if not left:
                    return
        refuse_missing(self.name, sorted(left))


def refuse_missing(where: str, missing: Sequence[str], promised_by: str = "") -> None:
    """Says which files are not there, if any.

    Args:
        where: the place that lacks them.
        missing: their names.
        promised_by: what names them, for the message.

    Raises:
        DatasetMissing: there are some.
    """
    if missing:
        first = ", ".join(shown(name) for name in missing[:3])
        more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        named = f" that {promised_by} names" if promised_by else ""
        files = "a file" if len(missing) == 1 else f"{len(missing):,} files"
        raise DatasetMissing(f"{shown(where)}: lacks {files}{named}: {first}{more}; put them there")
