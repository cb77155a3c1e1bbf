"""Robust fits to the image gradient."""
