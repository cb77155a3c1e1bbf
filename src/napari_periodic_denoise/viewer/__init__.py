"""Everything that imports napari or qtpy."""
