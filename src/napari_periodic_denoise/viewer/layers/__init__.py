"""Layers: planes, masks, previews and results."""
