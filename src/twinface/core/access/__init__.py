"""Access control as pure rules: no clock, no file, no camera."""
