"""A window that shows frames."""

from __future__ import annotations

import contextlib
import os
import sys

import numpy as np

from twinface.core.types import Image
from twinface.errors import TwinFaceError


class Window:
    """A window that shows frames.

    Args:
        title: its title.

    Raises:
        TwinFaceError: none can be opened here; says why.
    """

    def __init__(self, title: str) -> None:
        import cv2

        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise TwinFaceError("--show: there is no screen for a window; leave --show out, or say --headless")
        self._title = title.encode("ascii", "replace").decode()
        try:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error:
            raise TwinFaceError(
                "--show: this OpenCV has no windows; uninstall opencv-python-headless and install opencv-python, "
                "or say --headless"
            ) from None

    def show(self, image: Image, wait: float = 0.0) -> bool:
        """Shows a frame, RGB uint8 (H, W, 3), for some seconds at least; False once the window was closed."""
        import cv2

        try:
            cv2.imshow(self._title, np.ascontiguousarray(image[:, :, ::-1]))
            key = cv2.waitKey(max(1, round(1000 * wait))) & 0xFF
            return key not in (ord("q"), 27) and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:
            return False

    def close(self) -> None:
        """Closes it."""
        import cv2

        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(self._title)
