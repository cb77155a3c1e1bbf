"""Gram matching: texture synthesis, and refinement of waves."""
