"""Robust fits of waves to the image gradient."""
