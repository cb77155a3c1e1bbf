"""Noise that is not a sum of few waves: stripes, and quasi-periodic textures."""
