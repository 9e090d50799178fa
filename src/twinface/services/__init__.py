"""Use cases over the core's ports."""
