"""The outermost room: settings, wiring, command line."""
