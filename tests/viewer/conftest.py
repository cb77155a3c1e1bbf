"""Without a screen, tests that open no window still run."""

import os
import sys

import pytest

NO_SCREEN = sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)

if NO_SCREEN:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from fakes import FakeEngine  # noqa: E402
from napari.utils.notifications import notification_manager  # noqa: E402

from napari_periodic_denoise.viewer import worker  # noqa: E402


def pytest_collection_modifyitems(items):
    for item in items:
        if NO_SCREEN and item.path.name == "test_window.py":
            item.add_marker(pytest.mark.skip(reason="needs a screen: run under xvfb-run"))


@pytest.fixture
def notifications():
    notification_manager.records.clear()
    yield notification_manager.records
    notification_manager.records.clear()


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(worker, "load_engine", lambda: fake)
    yield fake
    fake.hold.clear()
