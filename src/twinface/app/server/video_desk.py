"""Videos that were uploaded, and the jobs about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twinface.app.server.job import Job
from twinface.app.server.jobs import Jobs
from twinface.app.server.problems import Problem
from twinface.app.server.receiving import Received, receive
from twinface.app.server.searching import Searcher
from twinface.app.server.shelf import Shelf, StoredVideo

if TYPE_CHECKING:
    from starlette.requests import Request

    from twinface.app.server.state import ServerState

FIELD = "video"
"""Of a form with a video."""

AT_ONCE = 4
"""Uploads at once."""

RESERVE = 2**30
"""Bytes that uploads leave on the disk."""


@dataclass(frozen=True, eq=False)
class VideoDesk:
    """What the routes about videos share.

    Attributes:
        shelf: the videos.
        jobs: what is asked about them.
    """

    shelf: Shelf
    jobs: Jobs
    _uploads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def video(self, identity: str) -> StoredVideo:
        """A video.

        Raises:
            Problem: 404, there is none of that id.
        """
        video = self.shelf.find(identity)
        if video is None:
            raise Problem(404, "there is no such video; it may have been removed")
        return video

    def job(self, identity: str) -> Job:
        """A job.

        Raises:
            Problem: 404, there is none of that id.
        """
        job = self.jobs.find(identity)
        if job is None:
            raise Problem(404, "there is no such search; only the latest are remembered")
        return job

    async def receive(self, request: Request, name: str, state: ServerState) -> StoredVideo:
        """Takes a video as it comes.

        Raises:
            Problem: 413 too large, 422 nothing or no such form, 503 too many at once, 507 no room.
            TwinFaceError: as `Shelf.take`.
        """
        if self._uploads.locked():
            raise Problem(503, "too many videos are being sent; try again in a moment", headers={"Retry-After": "10"})
        async with self._uploads:
            room = self.shelf.free - RESERVE
            most = min(state.options.max_video_bytes, max(0, room))
            length = request.headers.get("content-length", "")
            if room < (int(length) if length.isdecimal() else 1):
                raise Problem(507, "there is no room for the video; remove others")
            upload = await state.work.aside(self.shelf.begin)
            try:
                got: Received = await receive(request, FIELD, upload.content, most, state.work)
                return await state.work.run(self.shelf.take, upload, name or got.name, got.sha256)
            finally:
                await asyncio.shield(asyncio.to_thread(upload.discard))

    def forget(self, name: str) -> None:
        """Forgets what was asked and found about somebody by her name; the videos themselves stay."""
        for job in self.jobs.all():
            if job.words == name:
                self.jobs.drop(job.id)

    async def remove(self, identity: str) -> None:
        """Removes a video with its index and all that was asked about it, overwritten.

        Raises:
            Problem: 404 there is none of that id; 503 a job about it does not end.
            OutputError: it cannot be removed.
        """
        self.video(identity)
        if not await asyncio.to_thread(self.jobs.settle, identity):
            raise Problem(503, "the video is still being searched; try again in a moment", headers={"Retry-After": "5"})
        await asyncio.to_thread(self.shelf.remove, identity)


@asynccontextmanager
async def opened_desk(state: ServerState) -> AsyncIterator[VideoDesk]:
    """The desk of a server, until it ends; jobs that were open go on."""
    shelf = await asyncio.to_thread(Shelf, state.options.folder / "videos")
    jobs = await asyncio.to_thread(Jobs, state.options.folder / "jobs", Searcher(state, shelf))
    try:
        yield VideoDesk(shelf, jobs)
    finally:
        await asyncio.to_thread(jobs.close)


def job_json(job: Job) -> dict[str, Any]:
    """A job for clients; what it found is there once it is done."""
    return {
        "id": job.id,
        "kind": job.kind,
        "video": job.video,
        "asked": job.words,
        "state": job.state,
        "progress": None if job.progress is None else round(job.progress, 4),
        "created": job.created.isoformat(timespec="milliseconds"),
        "ended": None if job.ended is None else job.ended.isoformat(timespec="milliseconds"),
        "trouble": job.trouble or None,
        **(job.result or {}),
    }
