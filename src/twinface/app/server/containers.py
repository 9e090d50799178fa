"""Which kinds of video are taken, told by their first bytes.

FFmpeg reads far more than these, among it lists that name other files and addresses: whoever uploads one could have
the server read what is none of his. So nothing is taken that could begin such a list, which is text or XML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD = 4096
"""Bytes by which a video's kind is told."""

TAKEN = "MP4, MOV, WebM, Matroska, AVI, MPEG-TS, MPEG, WMV, FLV, OGG"


@dataclass(frozen=True)
class Container:
    """A kind of video file.

    Attributes:
        ending: of its name.
        media_type: as browsers know it.
    """

    ending: str
    media_type: str


_KINDS = (
    (re.compile(rb"\x00.{3}ftypqt  ", re.DOTALL), Container(".mov", "video/quicktime")),
    (re.compile(rb"\x00.{3}ftyp", re.DOTALL), Container(".mp4", "video/mp4")),
    (re.compile(rb"\x00.{3}(?:moov|wide|free|skip)|[^<].{3}mdat", re.DOTALL), Container(".mov", "video/quicktime")),
    (re.compile(rb"\x1aE\xdf\xa3.{0,60}\x42\x82.webm", re.DOTALL), Container(".webm", "video/webm")),
    (re.compile(rb"\x1aE\xdf\xa3", re.DOTALL), Container(".mkv", "video/x-matroska")),
    (re.compile(rb"RIFF.{4}AVI ", re.DOTALL), Container(".avi", "video/x-msvideo")),
    (re.compile(rb"G.{187}G.{187}G", re.DOTALL), Container(".ts", "video/mp2t")),
    (re.compile(rb"[^<].{3}G.{191}G.{191}G", re.DOTALL), Container(".mts", "video/mp2t")),
    (re.compile(rb"\x00\x00\x01[\xba\xb3]"), Container(".mpg", "video/mpeg")),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), Container(".wmv", "video/x-ms-wmv")),
    (re.compile(rb"FLV\x01"), Container(".flv", "video/x-flv")),
    (re.compile(rb"OggS\x00"), Container(".ogv", "video/ogg")),
)


def container_of(head: bytes) -> Container | None:
    """The kind of a video that begins so; None for any other file."""
    return next((kind for signature, kind in _KINDS if signature.match(head)), None)
