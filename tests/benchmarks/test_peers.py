import importlib.util
import json
import os

import numpy as np
import pytest

from benchmarks.field import METHODS, ORACLE
from benchmarks.ground_truth import Case, ground_truth
from benchmarks.peers import Worker, attempt, best, middle, written
from benchmarks.sweeps import SIZES


def small_case():
    y, x = np.indices((64, 64))
    noise = 20 * np.cos(2 * np.pi * (0.1 * y + 0.2 * x))
    return Case(100 + noise, ground_truth(noise))


def die(_method):
    os._exit(1)


def package_of(method):
    return method.package


def test_a_method_is_measured_in_a_process_of_its_own():
    worker = Worker(ORACLE, METHODS[ORACLE])
    row = attempt(best, worker, METHODS[ORACLE].settings, [small_case()] * 2)
    worker.close()
    assert len(row["rejection"]) == len(row["seconds"]) == 2
    assert row["rejection"][0] > 15


@pytest.mark.skipif(importlib.util.find_spec("pystripe") is not None, reason="it is there")
def test_a_peer_that_is_not_installed_has_a_row_that_says_so():
    worker = Worker("pystripe", METHODS["pystripe"])
    row = attempt(best, worker, METHODS["pystripe"].settings, [small_case()])
    worker.close()
    assert row == {"failed": "ModuleNotFoundError: No module named 'pystripe'"}


def test_a_peer_that_crashes_has_a_row_that_says_so_and_goes_on():
    worker = Worker("pyvsnr", METHODS["pyvsnr"])
    assert "terminated abruptly" in attempt(worker.call, die)["failed"]
    assert worker.call(package_of) == "pyvsnr"
    worker.close()


def test_results_are_written_as_json_of_a_line_per_row():
    results = {"date": "today", "rows": {"σ": {"a": {"setting": None, "values": [1.5]}, "b": {}}}}
    text = written(results)
    assert json.loads(text) == results
    assert '   "a": {"setting": null, "values": [1.5]},\n' in text


def test_the_middle_of_a_case_is_cut_out_with_its_noise():
    case = next(SIZES.cases(1024))
    part = middle(case)
    np.testing.assert_array_equal(part.image, case.image[384:640, 384:640])
    np.testing.assert_array_equal(part.truth.noise, case.truth.noise[384:640, 384:640])
    assert part.truth.directions == case.truth.directions
