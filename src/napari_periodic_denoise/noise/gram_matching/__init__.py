"""Gram matching: texture synthesis and refinement."""
