"""The audit log where a backup is restored: what was written since is not taken away."""

from __future__ import annotations

from twinface.core.audit import AuditDraft
from twinface.core.audit_chain import Head
from twinface.core.files import shown
from twinface.core.subjects import now
from twinface.errors import GalleryError
from twinface.gallery.sqlite import SqliteGallery


def keep_log(restored: SqliteGallery, present: SqliteGallery) -> Head:
    """Lets the log of a gallery made of a backup go on to where the present gallery's ends.

    Args:
        restored: a gallery of its own, not in its place yet.
        present: the one that it will replace; its log is sound.

    Returns:
        Head of the present log, which must be the same when it is replaced.

    Raises:
        GalleryError: one log is not the beginning of the other, so that records would be lost, or the backup's is not
            sound.
    """
    unsound = restored.audit.problems()
    with present.database.reading() as there, restored.database.writing() as here:
        old, new = present.audit.rows, restored.audit.rows
        head, kept = old.head(there), new.head(here)
        if head[0] == 0:
            return head
        if unsound:
            raise GalleryError(
                f"{shown(present.path)}: the audit log of the backup is not sound ({unsound[0].words}); take another "
                "backup, or restore this one to another file (--gallery)"
            )
        shorter = min(head[0], kept[0])
        if old.digest(there, shorter) != new.digest(here, shorter):
            raise GalleryError(
                f"{shown(present.path)}: its audit log is not that of the backup, and {head[0]:,} records would be "
                "lost; restore the backup to another file (--gallery), or move this gallery away first"
            )
        if kept[0] <= head[0]:
            new.continue_with(here, there)
        else:
            erased = {number for number in new.pictured(here) if number <= head[0]}.difference(old.pictured(there))
            new.discard(here, erased)
    return head


def log_restoring(restored: SqliteGallery, ended: int, *, aside: bool) -> None:
    """Writes into the log that a backup was restored.

    Args:
        restored: the gallery.
        ended: number of the last record that the backup had.
        aside: whether the gallery that was there was damaged, or its log was not sound.
    """
    words = f"people as in a backup whose log ended at record {ended}"
    if aside:
        words += "; the gallery that was there was damaged, or its log was not sound: it was put aside"
    restored.audit.append(AuditDraft(at=now(), kind="restore", detail=words))
