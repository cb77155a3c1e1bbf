"""Noise that is no sum of few waves."""
