"""Measurements of what the package does; not a part of it."""
