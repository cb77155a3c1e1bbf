"""Trained weights that are missing; the server is a fake one, on this computer."""

import threading
import time

import pytest
import torch
from qtpy.QtWidgets import QFileDialog

from napari_periodic_denoise.noise.statistics.networks import load_network
from napari_periodic_denoise.pretrained import weights
from napari_periodic_denoise.viewer.preferences import settings_file
from napari_periodic_denoise.viewer.widget import PeriodicNoiseDock


@pytest.fixture
def published(serve, monkeypatch):
    """Takes a fake server for torchvision's."""

    def publish(data, **options):
        source = serve(data, **options)
        monkeypatch.setattr(weights, "imagenet_source", lambda network: source)
        return source

    return publish


@pytest.fixture(scope="module")
def filters(tmp_path_factory):
    """A file as torchvision's, but of random filters."""
    path = tmp_path_factory.mktemp("weights") / "vgg16.pth"
    torch.save(load_network("vgg16", weights="random").stack.state_dict(), path)
    return path


@pytest.fixture
def missing(dock, qtbot):
    """The panel, shown for VGG16."""

    def choose():
        dock.method_panel.method.value = "texture"
        dock.method_panel.features.value = "vgg16"
        panel = dock.method_panel.missing
        qtbot.waitUntil(lambda: is_shown(panel), timeout=20_000)
        return panel

    return choose


def is_shown(panel):
    return not panel.native.isHidden()


def answer(monkeypatch, path):
    """Answer the file dialog, which a test can't."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))


def quick(dock):
    dock.method_panel.texture_steps.value = 2
    dock.method_panel.max_size.value = 32


def test_the_panel_names_the_missing_file_and_its_folder(dock, hub, qtbot):
    panel = dock.method_panel.missing
    assert not is_shown(panel)
    dock.method_panel.method.value = "texture"
    qtbot.waitUntil(lambda: is_shown(panel), timeout=20_000)
    source = weights.imagenet_source("vgg19")
    for words in ("VGG19", source.url, str(hub)):
        assert words in panel.words.value
    assert panel.download.text == "Download (548 MB)"
    dock.method_panel.features.value = "vgg16"
    qtbot.waitUntil(lambda: "VGG16" in panel.words.value and is_shown(panel))
    dock.method_panel.weights.value = "random"
    assert not is_shown(panel)
    dock.method_panel.weights.value = "imagenet"
    qtbot.waitUntil(lambda: is_shown(panel))
    dock.method_panel.method.value = "aligned"
    assert not is_shown(panel)
    qtbot.wait(200)  # nothing comes late
    assert not is_shown(panel)


def test_it_stays_away_where_the_weights_are(dock, hub, filters, qtbot):
    hub.mkdir(parents=True)
    (hub / "vgg16-397923af.pth").symlink_to(filters)
    dock.method_panel.method.value = "texture"
    dock.method_panel.features.value = "vgg16"
    qtbot.wait(500)
    assert not is_shown(dock.method_panel.missing)


def test_a_run_shows_the_panel_too(dock, viewer, image, wait, qtbot, notifications):
    viewer.add_image(image)
    dock.method_panel.method.value = "texture"
    dock.run_button.native.click()
    wait()
    assert is_shown(dock.method_panel.missing)
    assert "missing" in dock.status.value
    assert not notifications
    assert dock.run_button.enabled
    assert len(viewer.layers) == 1


def test_download_from_a_fake_server_then_run(
    dock, viewer, image, missing, published, filters, wait, qtbot
):
    source = published(filters.read_bytes())
    viewer.add_image(image)
    panel = missing()
    panel.download.native.click()
    assert dock.run_button.text == "Cancel"
    assert not dock.method_panel.enabled
    assert not dock.progress.native.isHidden()
    wait()
    assert not is_shown(panel)
    assert dock.status.value == f"The weights are ready: {source.path}"
    assert source.path.exists()
    quick(dock)
    dock.run_button.native.click()
    wait()
    assert len(viewer.layers) == 3
    assert viewer.layers[1].metadata["periodic_noise"]["settings"]["weights"] == "imagenet"


def test_cancelled_download_from_a_fake_server_leaves_nothing(
    dock, viewer, image, missing, published, wait, qtbot
):
    stall = threading.Event()
    source = published(bytes(4 << 20), stall=stall)
    other = viewer.add_image(image)
    panel = missing()
    panel.download.native.click()
    qtbot.waitUntil(lambda: dock.status.value == "Downloading, 2 of 4 MB…")
    assert dock.progress.value == 2048
    assert dock.progress.max == 4096
    viewer.layers.remove(other)  # is none of its business
    assert dock.running
    started = time.perf_counter()
    dock.run_button.native.click()
    wait()
    assert time.perf_counter() - started < 1
    assert dock.status.value == "Cancelled."
    assert is_shown(panel)
    assert not source.path.exists()
    stall.set()
    qtbot.waitUntil(lambda: not list(source.path.parent.iterdir()))
    panel.download.native.click()
    wait()
    assert source.path.exists()


def test_a_failed_download_is_reported(dock, missing, published, wait, notifications):
    source = published(b"something else", digits="0123abcd")
    panel = missing()
    panel.download.native.click()
    wait()
    (notification,) = notifications
    assert "has the wrong content" in notification.message
    assert "has the wrong content" in dock.status.value
    assert not list(source.path.parent.iterdir())
    assert is_shown(panel)
    assert dock.method_panel.enabled


def test_a_chosen_file_is_used_and_remembered(
    dock, viewer, image, missing, filters, wait, monkeypatch, qtbot
):
    viewer.add_image(image)
    panel = missing()
    answer(monkeypatch, filters)
    panel.choose.native.click()
    wait()
    assert not is_shown(panel)
    quick(dock)
    dock.run_button.native.click()
    wait()
    settings = viewer.layers[1].metadata["periodic_noise"]["settings"]
    assert settings["weights_path"] == str(filters)
    qtbot.waitUntil(
        lambda: str(filters) in settings_file().read_text() if settings_file().exists() else False
    )
    again = PeriodicNoiseDock(viewer)
    again.method_panel.method.value = "texture"
    again.method_panel.features.value = "vgg16"
    assert again.method_panel.engine_options()["weights_path"] == filters
    qtbot.wait(300)
    assert not is_shown(again.method_panel.missing)


def test_a_wrong_file_is_refused_with_the_reason(
    dock, missing, tmp_path, wait, monkeypatch, notifications
):
    panel = missing()
    page = tmp_path / "vgg16.pth"
    page.write_text("<html>404</html>")
    answer(monkeypatch, page)
    panel.choose.native.click()
    wait()
    assert dock.status.value == f"{page} is damaged, truncated, or not a file of torch."
    assert len(notifications) == 1
    assert is_shown(panel)
    assert panel.chosen("vgg16") is None


def test_no_file_chosen_changes_nothing(dock, missing, monkeypatch):
    panel = missing()
    answer(monkeypatch, "")
    panel.choose.native.click()
    assert not dock.running
    assert is_shown(panel)


def test_a_chosen_file_that_is_gone_is_missing_again(
    dock, viewer, image, missing, filters, tmp_path, wait, monkeypatch
):
    viewer.add_image(image)
    panel = missing()
    path = tmp_path / "mine.pth"
    path.symlink_to(filters)
    answer(monkeypatch, path)
    panel.choose.native.click()
    wait()
    path.unlink()
    dock.run_button.native.click()
    wait()
    assert is_shown(panel)
