import gc

from qtpy.QtCore import QThreadPool

from napari_periodic_denoise.viewer.runs import thread


class Owner:
    """No QObject, as the dock's parts are none."""

    def __init__(self, told):
        self.told = told

    def on_step(self, step):
        self.told.append(step.message)

    def on_result(self, result):
        self.told.append(result)

    def on_error(self, error):
        self.told.append(error)

    def on_end(self):
        self.told.append("end")


def steps(error=None):
    yield thread.Status("first")
    if error is not None:
        raise error
    return "result"


def start(owner, error=None):
    thread.start(
        steps(error),
        on_step=owner.on_step,
        on_result=owner.on_result,
        on_error=owner.on_error,
        on_end=owner.on_end,
        asked_for=False,
    )


def test_all_is_told_in_order(qtbot):
    told = []
    start(Owner(told))
    qtbot.waitUntil(lambda: "end" in told)
    assert [message for message in told if message != "starting"] == ["first", "result", "end"]


def test_errors_are_told(qtbot):
    told, error = [], ValueError("no")
    start(Owner(told), error)
    qtbot.waitUntil(lambda: "end" in told)
    assert told[-2:] == [error, "end"]


def test_what_is_told_late_finds_its_owner(qtbot):
    """PySide6 crashed: the thread had told all when the owner went, and nobody had heard it."""
    for _ in range(20):
        told = []
        start(Owner(told))
        assert QThreadPool.globalInstance().waitForDone(5000)
        gc.collect()
        assert not told
        qtbot.waitUntil(lambda told=told: "end" in told)
