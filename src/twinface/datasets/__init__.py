"""Readers of face data sets. They yield names, paths and pairs, never pixels."""
