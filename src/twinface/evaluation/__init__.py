"""Measurement of verification systems."""
