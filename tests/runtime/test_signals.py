import os
import signal
import subprocess
import sys

import pytest

STOPPED = """
import asyncio, os, signal
from napari_periodic_denoise.runtime.signals import stoppable

with stoppable():
    left = asyncio.new_event_loop().create_future()
    left.set_exception(FileNotFoundError("gone"))
    os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_stopped_run_tells_no_errors_of_what_it_leaves_behind():
    done = subprocess.run(
        [sys.executable, "-c", STOPPED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr == ""
