import gc
import subprocess
import sys
from threading import Event

import pytest
import torch
from qtpy.QtCore import QThreadPool

from napari_periodic_denoise.viewer.runs import thread


class Owner:
    """No QObject, as the dock's parts are none."""

    def __init__(self, heard):
        self.heard = heard

    def on_status(self, status):
        self.heard.append(status.message)

    def on_result(self, result):
        self.heard.append(result)

    def on_error(self, error):
        self.heard.append(error)

    def on_end(self):
        self.heard.append("end")


def steps(error=None):
    yield thread.Status("first")
    if error is not None:
        raise error
    return "result"


def start(owner, error=None):
    thread.start(
        steps(error),
        on_status=owner.on_status,
        on_result=owner.on_result,
        on_error=owner.on_error,
        on_end=owner.on_end,
        tracked=False,
    )


def test_everything_is_reported_in_order(qtbot):
    heard = []
    start(Owner(heard))
    qtbot.waitUntil(lambda: "end" in heard)
    assert [message for message in heard if message != "starting"] == ["first", "result", "end"]


def test_errors_are_reported(qtbot):
    heard, error = [], ValueError("no")
    start(Owner(heard), error)
    qtbot.waitUntil(lambda: "end" in heard)
    assert heard[-2:] == [error, "end"]


def test_late_callbacks_reach_their_owner(qtbot):
    """PySide6 crashed if the owner was deleted before its pending callbacks were delivered."""
    gc.freeze()  # collects the owners alone, quickly
    for _ in range(20):
        heard = []
        start(Owner(heard))
        assert QThreadPool.globalInstance().waitForDone(5000)
        gc.collect()
        assert not heard
        qtbot.waitUntil(lambda heard=heard: "end" in heard)
    gc.unfreeze()


def test_only_errors_of_memory_become_messages(qtbot):
    for error, is_memory in (
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("mat1 and mat2 do not fit"), False),
    ):
        heard = []
        start(Owner(heard), error)
        qtbot.waitUntil(lambda heard=heard: "end" in heard)
        (reported,) = (one for one in heard if isinstance(one, Exception))
        if is_memory:
            assert isinstance(reported, thread.CannotRunError)
            assert "not enough memory" in str(reported)
            assert reported.__cause__ is error
        else:
            assert reported is error


@pytest.mark.parametrize("tracked", [True, False])
def test_a_stopped_run_reports_its_end_alone(qtbot, tracked):
    heard, closed, hold = [], Event(), Event()

    def endless():
        try:
            while True:
                hold.wait(0.01)
                yield thread.Status("again")
        finally:
            closed.set()

    owner = Owner(heard)
    run = thread.start(
        endless(),
        on_result=owner.on_result,
        on_error=owner.on_error,
        on_end=owner.on_end,
        tracked=tracked,
    )
    qtbot.wait(50)
    run.quit()
    qtbot.waitUntil(lambda: bool(heard))
    assert heard == ["end"]
    assert closed.is_set()


def test_abandoned_work_does_not_keep_python_from_quitting():
    code = """
import time
from napari_periodic_denoise.viewer.runs import thread
def steps():
    yield thread.Status("reading")
    time.sleep(1000)
thread._EXIT_TIMEOUT = 0.5
run = thread._in_daemon_thread(steps())
while next(run).message != "reading":
    pass
run.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
