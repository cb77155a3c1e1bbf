"""Measurements of the package; not part of it."""
