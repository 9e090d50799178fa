"""Measurements: data sets, templates and figures joined."""
