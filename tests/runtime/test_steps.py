import pytest

from napari_periodic_denoise.runtime.steps import finish, mapped


def counting(closed):
    try:
        yield 1
        yield 2
    finally:
        closed.append(True)
    return "end"


def test_a_run_is_finished():
    closed = []
    assert finish(counting(closed)) == "end"
    assert closed


def test_each_step_is_mapped_and_the_result_returned():
    run = mapped(counting([]), lambda step: 10 * step)
    assert [next(run), next(run)] == [10, 20]
    with pytest.raises(StopIteration) as end:
        next(run)
    assert end.value.value == "end"


def test_a_mapped_run_that_is_closed_closes_the_run():
    closed = []
    run = mapped(counting(closed), str)
    next(run)
    assert not closed
    run.close()
    assert closed


def test_an_error_of_a_step_passes_through():
    def failing():
        yield 1
        raise ZeroDivisionError

    run = mapped(failing(), str)
    assert next(run) == "1"
    with pytest.raises(ZeroDivisionError):
        next(run)
