"""The viewer's share of the processor, and the garbage collections of runs."""

import gc
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from napari_periodic_denoise.viewer import responsive


@pytest.mark.parametrize("met_torch_before", [False, True])
def test_overlapping_runs_leave_torchs_threads_as_they_were(monkeypatch, met_torch_before):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            if met_torch_before:
                for thread in (first, second):
                    assert thread.submit(torch.get_num_threads).result() == 4
            runs = [(thread, responsive.a_core_for_the_viewer()) for thread in (first, second)]
            for thread, run in runs:
                thread.submit(run.__enter__).result()
                assert thread.submit(torch.get_num_threads).result() == 3
            for thread, run in runs:
                assert thread.submit(torch.get_num_threads).result() == 3
                thread.submit(run.__exit__, None, None, None).result()
                assert thread.submit(torch.get_num_threads).result() == 4
        with ThreadPoolExecutor(1) as new:
            assert new.submit(torch.get_num_threads).result() == 4
    finally:
        torch.set_num_threads(before)


def test_overlapping_runs_share_what_is_set_aside():
    first, second = responsive.short_collections(), responsive.short_collections()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_freeze_count() > 0
    second.__exit__(None, None, None)
    assert gc.get_freeze_count() == 0


def test_an_error_ends_the_shared_state():
    with pytest.raises(ZeroDivisionError), responsive.short_collections():
        raise ZeroDivisionError
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_collections_are_suspended_and_resumed(enabled):
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with responsive.no_collections():
            assert not gc.isenabled()
            with responsive.no_collections():
                assert not gc.isenabled()
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        (gc.enable if was_enabled else gc.disable)()
