"""Videos: upload them, seek somebody in them, see who is there, play the moments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse

from twinface.app.server.analyzing import Upload
from twinface.app.server.job import Job
from twinface.app.server.problems import Problem
from twinface.app.server.searching import MOST_PHOTOS, asked_by_name, asked_by_photos, photo_query
from twinface.app.server.security import require
from twinface.app.server.shelf import LONGEST_NAME
from twinface.app.server.state import ServerState, state_of
from twinface.app.server.video_desk import FIELD, VideoDesk, job_json, opened_desk
from twinface.core.identification import identification_point
from twinface.services.video_search import SEARCH_FPIR

router = APIRouter(prefix="/v1", tags=["videos"])

_READ, _OPERATE = [Depends(require("read"))], [Depends(require("operate"))]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": _BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {FIELD: {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}

Fpir = Annotated[float, Form(gt=0, lt=1, description="How often a video without the person may show him all the same.")]


@asynccontextmanager
async def lifespan(state: ServerState) -> AsyncIterator[None]:
    """Opens the videos that are there, and goes on with what was asked about them."""
    async with opened_desk(state) as desk:
        state.attached[__name__] = desk
        yield


def _desk(request: Request) -> VideoDesk:
    desk: VideoDesk = state_of(request).attached[__name__]
    return desk


@router.post("/videos", status_code=201, dependencies=_OPERATE, openapi_extra=_BODY)
async def upload_video(
    request: Request,
    response: Response,
    name: Annotated[str, Query(max_length=4 * LONGEST_NAME, description="What to call it, as film.mp4.")] = "",
) -> dict[str, Any]:
    """Takes a video: the body as it is, or the part `video` of a form. It is streamed to the disk; at most 2 GB.

    MP4, MOV, WebM, Matroska, AVI, MPEG, WMV, FLV and OGG are taken, if they can be played.
    """
    video = await _desk(request).receive(request, name, state_of(request))
    response.headers["Location"] = f"/v1/videos/{video.id}"
    return video.as_json()


@router.get("/videos", dependencies=_READ)
async def list_videos(request: Request) -> dict[str, Any]:
    """The videos, newest first."""
    return {"videos": [video.as_json() for video in _desk(request).shelf.all()]}


@router.get("/videos/{video}", dependencies=_READ)
async def show_video(request: Request, video: str) -> dict[str, Any]:
    """A video, without its pictures."""
    return _desk(request).video(video).as_json()


@router.delete("/videos/{video}", status_code=204, dependencies=_OPERATE)
async def remove_video(request: Request, video: str) -> None:
    """Removes a video, the faces known of it, and all that was asked about it; their bytes are overwritten."""
    await _desk(request).remove(video)


@router.get(
    "/videos/{video}/content",
    dependencies=_READ,
    response_class=FileResponse,
    responses={200: {"content": {"video/*": _BINARY}}, 206: {"content": {"video/*": _BINARY}}},
)
async def play_video(request: Request, video: str) -> FileResponse:
    """The video itself, whole or in parts (`Range`), so that a player can seek."""
    desk = _desk(request)
    found = desk.video(video)
    path = desk.shelf.path(found)
    if not path.is_file():
        raise Problem(404, "the video's file has gone from the server's disk; remove the video, and send it again")
    return FileResponse(
        path,
        media_type=found.media_type,
        filename=found.name,
        content_disposition_type="inline",
    )


@router.post("/videos/{video}/searches", status_code=202, dependencies=_OPERATE)
async def search_video(
    request: Request,
    video: str,
    photo: Annotated[
        list[UploadFile] | None, File(description=f"Photos of the person, {MOST_PHOTOS} at most; more help.")
    ] = None,
    subject: Annotated[str | None, Form(max_length=200, description="Or somebody of the gallery, by name.")] = None,
    fpir: Fpir = SEARCH_FPIR,
) -> JSONResponse:
    """Begins to seek a person in a video, by photos or by her name in the gallery; `Location` tells how it goes.

    The first question about a video takes as long as a search of it, the next ones a moment.
    """
    desk, state = _desk(request), state_of(request)
    desk.video(video)
    if bool(photo) == bool(subject):
        raise Problem(422, "say whom to seek: send photos as photo, or a name as subject, and not both")
    if photo:
        if len(photo) > MOST_PHOTOS:
            raise Problem(422, f"at most {MOST_PHOTOS} photos are taken, {len(photo)} came")
        pictures = [Upload(await one.read(), "photo") for one in photo]
        asked = await state.work.run(_ask_by_photos, state, pictures, fpir)
        words = f"the person of {len(pictures)} photo{'s' if len(pictures) > 1 else ''}"
    else:
        words, asked = await state.work.run(_ask_by_name, state, str(subject), fpir)
    return await _accepted(state, desk.jobs.add, "search", video, words, asked)


@router.post("/videos/{video}/unknown", status_code=202, dependencies=_OPERATE)
async def tell_people_apart(request: Request, video: str) -> JSONResponse:
    """Begins to tell apart all who are in a video, known or not; `Location` tells how it goes."""
    desk = _desk(request)
    desk.video(video)
    return await _accepted(state_of(request), desk.jobs.add, "unknown", video, "everybody", {})


@router.get("/searches", dependencies=_READ)
async def list_searches(
    request: Request, video: Annotated[str | None, Query(description="Of this video only.")] = None
) -> dict[str, Any]:
    """What was asked about videos, newest first, without what was found."""
    jobs = _desk(request).jobs.all(video)
    return {"searches": [{key: value for key, value in job_json(job).items() if key in _SHORT} for job in jobs]}


@router.get("/searches/{search}", dependencies=_READ)
async def show_search(request: Request, search: str) -> dict[str, Any]:
    """How a search goes: `state` is waiting, running, done, failed or cancelled; `progress` goes from 0 to 1.

    Once it is done there are `intervals` (or `people`) as `twinface search --json` has them, each with a thumbnail: a
    JPEG in base64.
    """
    return job_json(_desk(request).job(search))


@router.delete("/searches/{search}", status_code=204, dependencies=_OPERATE)
async def cancel_search(request: Request, search: str) -> None:
    """Cancels a search; one that is over is forgotten with what it found."""
    desk = _desk(request)
    job = desk.job(search)
    await state_of(request).work.aside(desk.jobs.forget if job.over else desk.jobs.cancel, search)


@router.get(
    "/searches/{search}/report",
    dependencies=_READ,
    response_class=Response,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)
async def download_report(request: Request, search: str) -> Response:
    """What was found as a page to keep: it plays the moments of the video that lies beside it."""
    from twinface.app.server.search_report import report_page

    job = _desk(request).job(search)
    if job.result is None:
        raise Problem(409, f"the search is {job.state}; there is a report once it is done")
    title = "Who is here?" if job.kind == "unknown" else f"Where is {job.words}?"
    page = await state_of(request).work.aside(report_page, job.result["name"], title, job.result)
    headers = {"Content-Disposition": 'attachment; filename="report.html"'}
    return Response(page, media_type="text/html", headers=headers)


_SHORT = frozenset({"id", "kind", "video", "asked", "state", "progress", "created", "ended", "trouble"})


async def _accepted(state: ServerState, add: Any, *asked: Any) -> JSONResponse:
    job: Job = await state.work.aside(add, *asked)
    return JSONResponse(job_json(job), 202, headers={"Location": f"/v1/searches/{job.id}"})


def _ask_by_photos(state: ServerState, pictures: list[Upload], fpir: float) -> dict[str, Any]:
    recognizer = state.recognizer
    identification_point(recognizer.rule, 1, fpir)
    return asked_by_photos(photo_query(recognizer, pictures), recognizer, fpir)


def _ask_by_name(state: ServerState, subject: str, fpir: float) -> tuple[str, dict[str, Any]]:
    from twinface.app.video.seeking import subject_templates

    identification_point(state.recognizer.rule, 1, fpir)
    name, _ = subject_templates(state.gallery.store, subject)
    return name, asked_by_name(name, fpir)
