"""Files: images, stacks and stores, read and written whole."""
