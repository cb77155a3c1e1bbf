"""What a batch has written, without its ledger."""

from napari_periodic_denoise.batch.ledger import NAME


def names(folder):
    return sorted(path.name for path in folder.glob("*") if path.name != NAME)


def contents(folder):
    """All files in a folder, by name."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != NAME)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
