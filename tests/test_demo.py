import sys

import numpy as np
import pytest

from napari_periodic_denoise import NoiseEstimate, demo
from napari_periodic_denoise.samples import Sample


@pytest.fixture
def results():
    """Two samples of different shapes, the second without periodic noise."""
    image = np.random.default_rng(0).integers(0, 255, (200, 160)).astype(np.uint8)
    wave = (20 * np.cos(0.3 * np.indices(image.shape).sum(axis=0))).astype(np.float32)
    found, nothing = (
        NoiseEstimate(noise, pixels, (), {"method": "aligned"}, float(noise.any()), 0.0, ())
        for noise, pixels in ((wave, image), (0 * wave.T, image.T))
    )
    return [
        (Sample("one", image, "made here"), found),
        (Sample("two", image.T, "made here"), nothing),
    ]


@pytest.mark.skipif(not demo.has_display(), reason="needs a display: make test has one")
def test_napari_shows_before_noise_and_after_in_rows(qapp, monkeypatch, results):
    import napari

    def look():
        viewer = napari.current_viewer()
        try:
            seen["names"] = [layer.name for layer in viewer.layers]
            seen["corner"] = viewer.canvas.grid.position(0, viewer.layers)
            seen["shape"] = viewer.canvas.grid.actual_shape(viewer.layers)
            seen["docks"] = list(viewer.window.dock_widgets)
        finally:
            viewer.close()

    seen = {}
    monkeypatch.setattr(napari, "run", look)
    demo.show_in_napari(results)
    assert seen["names"] == [
        f"{name}{what}" for name in ("one", "two") for what in ("", " noise", " cleaned")
    ]
    assert seen["shape"] == (2, 3)
    assert seen["corner"] == (0, 0)
    assert any("Periodic noise" in name for name in seen["docks"])


@pytest.mark.skipif(not demo.has_display(), reason="needs a display: make test has one")
def test_napari_opens_in_a_process_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import napari, pathlib\n"
        "def look():\n"
        "    viewer = napari.current_viewer()\n"
        "    pathlib.Path(__file__).with_name('seen').write_text(str(len(viewer.layers)))\n"
        "    viewer.close()\n"
        "napari.run = look\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    demo.open_napari()
    assert (tmp_path / "seen").read_text() == "6"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":1"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_has_display(monkeypatch, platform, variables, expected):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert demo.has_display() is expected
