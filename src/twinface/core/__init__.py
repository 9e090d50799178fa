"""Values and rules of face comparison: standard library and NumPy only."""
