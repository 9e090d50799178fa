"""From pixels to templates."""
