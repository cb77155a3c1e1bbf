"""Waves: frequencies, lattices, synthesis."""
