"""``python -m napari_periodic_denoise``: the same as the command ``napari-periodic-denoise``."""

from napari_periodic_denoise.runtime.signals import end_at_once_on_interrupt


def main() -> None:
    """Run the command."""
    end_at_once_on_interrupt()  # before the imports

    from napari_periodic_denoise.cli import app

    app(prog_name="napari-periodic-denoise")


if __name__ == "__main__":  # processes of --jobs import this too
    main()
