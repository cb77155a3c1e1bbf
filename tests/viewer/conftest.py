"""Without a screen, tests that open no window still run."""

import gc
import os
import sys
import time

import numpy as np
import pytest

NO_SCREEN = sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)

if NO_SCREEN:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from napari import settings as napari_settings  # noqa: E402
from napari.components import ViewerModel  # noqa: E402
from napari.layers import Layer  # noqa: E402
from napari.utils.notifications import notification_manager  # noqa: E402
from qtpy.QtCore import QCoreApplication, QEvent  # noqa: E402
from qtpy.QtWidgets import QApplication  # noqa: E402

from fakes import FakeEngine  # noqa: E402
from napari_periodic_denoise.noise import estimate  # noqa: E402
from napari_periodic_denoise.viewer.panels import weights as weights_panel  # noqa: E402
from napari_periodic_denoise.viewer.runs import jobs  # noqa: E402
from napari_periodic_denoise.viewer.widget import PeriodicNoiseDock  # noqa: E402


def pytest_collection_modifyitems(items):
    for item in items:
        if NO_SCREEN and "make_napari_viewer" in item.fixturenames:
            item.add_marker(pytest.mark.skip(reason="needs a screen: run under xvfb-run"))


@pytest.fixture(autouse=True)
def _no_leaks(request):
    """Once a test's real viewers are closed, no widget, dock or layer must be left."""
    if "make_napari_viewer" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("qapp")
    gc.unfreeze()  # what earlier tests' runs have set aside is not seen
    before = [*QApplication.allWidgets(), *_docks_and_layers()]  # kept: no other gets their place
    yield
    if request.node.rep_call.failed:
        return  # the traceback holds all that it met
    known = set(map(id, before))
    end = time.monotonic() + 3
    while left := [one for one in _widgets_docks_and_layers() if id(one) not in known]:
        if time.monotonic() > end:
            pytest.fail(f"left behind: {sorted(type(one).__name__ for one in left)}")
        left.clear()
        time.sleep(0.05)  # for what is in a thread still


def _widgets_docks_and_layers():
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QApplication.processEvents()
    gc.collect()
    return [*QApplication.allWidgets(), *_docks_and_layers()]


def _docks_and_layers():
    # by type(), as others' objects may do anything when asked for their class
    return [one for one in gc.get_objects() if issubclass(type(one), PeriodicNoiseDock | Layer)]


@pytest.fixture
def notifications():
    notification_manager.records.clear()
    yield notification_manager.records
    notification_manager.records.clear()


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(jobs, "load_engine", lambda: fake)
    monkeypatch.setattr(estimate, "iter_estimate_noise", fake)  # as stacks call it
    yield fake
    fake.hold.clear()


@pytest.fixture(autouse=True)
def _no_weights(hub, monkeypatch):
    """Whatever weights this computer may have, and other tests have chosen."""
    monkeypatch.setattr(weights_panel, "_chosen", {})


@pytest.fixture(autouse=True)
def settings_folder(tmp_path, monkeypatch):
    """A folder of its own for napari's settings and the dock's, here and in child processes."""
    path = tmp_path / "settings"
    monkeypatch.setenv("NAPARI_CONFIG", str(path / "settings.yaml"))
    monkeypatch.setattr(napari_settings, "_CFG_PATH", str(path / "settings.yaml"))
    napari_settings._clear_plugin_settings_cache()
    yield path
    napari_settings._clear_plugin_settings_cache()


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 200, (32, 40), dtype=np.uint8)


@pytest.fixture
def dock(viewer, qtbot):
    dock = PeriodicNoiseDock(viewer)
    # as napari does with every dock
    events = viewer.layers.events
    for event in (events.inserted, events.removed, events.reordered, events.renamed):
        event.connect(dock.reset_choices)
    yield dock
    dock.stop()
    dock.method_panel.missing.cancel_search()
    qtbot.waitUntil(lambda: not dock.running)


@pytest.fixture
def wait(dock, qtbot):
    def wait():
        qtbot.waitUntil(lambda: not dock.running, timeout=5000)

    return wait
