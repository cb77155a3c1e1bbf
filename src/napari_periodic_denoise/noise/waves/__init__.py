"""Waves: frequencies, lattices, synthesis, and waves as results."""
