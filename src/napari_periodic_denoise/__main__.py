"""``python -m napari_periodic_denoise``: the same as the command ``napari-periodic-denoise``."""

from napari_periodic_denoise.cli import app

if __name__ == "__main__":  # processes of --jobs import this too
    app(prog_name="napari-periodic-denoise")
