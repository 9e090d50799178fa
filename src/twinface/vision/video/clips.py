"""Parts of a video cut out as they are: packets are copied, nothing is encoded anew."""

from __future__ import annotations

from pathlib import Path

from twinface.core.files import reason, shown
from twinface.errors import OutputError

AROUND = 1.0
"""Seconds before and after that go with a clip; it begins at the last key frame before that."""


def cut_clip(video: Path, target: Path, start: float, end: float) -> None:
    """Writes the part of a video around a time, with sound.

    Args:
        video: the file.
        target: a file of the same format; it must not exist.
        start: seconds.
        end: seconds.

    Raises:
        OutputError: it cannot be read or written.
    """
    import av

    if target.exists():
        raise OutputError(f"{shown(target)}: is there already; choose another folder")
    try:
        with av.open(str(video)) as source, av.open(str(target), "w") as sink:
            streams = {
                stream.index: sink.add_stream_from_template(stream)
                for stream in source.streams
                if stream.type in ("video", "audio")
            }
            source.seek(int(max(0.0, start - AROUND) * av.time_base), backward=True)
            first: dict[int, int] = {}
            for packet in source.demux([source.streams[number] for number in streams]):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                if float(packet.pts * packet.time_base) > end + AROUND:
                    if packet.stream.type == "video":
                        break
                    continue
                number = packet.stream.index
                shift = first.setdefault(number, packet.dts)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = streams[number]
                sink.mux(packet)
    except (av.FFmpegError, OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise OutputError(f"{shown(target)}: the clip cannot be cut ({reason(error)})") from error
