"""Signs in the pixels that no living person is before the camera."""
