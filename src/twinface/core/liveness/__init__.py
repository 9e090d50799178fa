"""Is a living person before the camera? Geometry of five landmarks, and a challenge; NumPy only."""
