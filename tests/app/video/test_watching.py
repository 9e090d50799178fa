"""How what is watched is drawn."""

from __future__ import annotations

import numpy as np

from twinface.app.video import watching
from twinface.core.identification import Candidate
from twinface.core.types import Box
from twinface.services.watching import Seen


def test_names_of_faces_are_drawn_in_place() -> None:

    image = np.full((200, 300, 3), 90, np.uint8)
    image.setflags(write=False)
    faces = [
        Seen(1, Box(20, 60, 60, 60), Candidate("Ada", "1", 0.1, 0.99), False),
        Seen(2, Box(120, 60, 60, 60), None, True),
        Seen(3, Box(220, 60, 60, 60), None, False),
        Seen(4, Box(900, 60, 60, 60), None, True),
    ]
    drawn = watching.draw_seen(image, faces)
    assert drawn.shape == image.shape
    assert (image == 90).all()
    assert all((drawn[50:130, left : left + 70] != 90).any() for left in (15, 115, 215))
    assert (drawn[150:] == 90).all()
