import pytest

from benchmarks.field import ORACLE, OURS
from benchmarks.line_peers import LINES
from benchmarks.lines import AHEAD
from benchmarks.peers import load
from benchmarks.readme import BEGIN, END, with_block
from benchmarks.tables import (
    cases_lost,
    compared,
    decibels,
    lines_block,
    page,
    readme_block,
    standing,
    sweep,
)

FAILED = {"failed": "ModuleNotFoundError: No module named 'peer'"}


def row(*values, seconds=1.0):
    return {"setting": None, "rejection": list(values), "seconds": [seconds] * len(values)}


def test_a_row_says_what_the_best_other_method_does_better():
    rows = {OURS: row(40, 20), "weak": row(9, 9), "strong": row(30, 25, seconds=0.1)}
    ours, other = compared(rows)
    assert ours == "30.0, 20.0 dB; 1.00 s"
    assert other == "strong: 27.5, 25.0 dB; 0.10 s (**better at worst, faster**)"


def test_an_oracle_is_not_among_the_others():
    rows = {OURS: row(40.0), ORACLE: row(50.0), "weak": row(9.0, seconds=2.0)}
    assert compared(rows)[1] == "weak: 9.0, 9.0 dB; 2.00 s"


def test_a_failure_is_said_with_its_reason():
    assert decibels(FAILED) == "failed: ModuleNotFoundError: No module named 'peer'"
    table = sweep("pixels", {"128": {OURS: row(1, 2, 3), "peer": FAILED}})
    assert table.splitlines()[-1] == "| 128 | 2.0 (1.5 to 2.5) | ModuleNotFoundError |"


def test_each_case_in_which_another_method_does_better_is_named():
    kinds = {"one sinusoid": {OURS: row(40, 20), ORACLE: row(30, 21), "peer": {"failed": "x"}}}
    part = {"images": ["cell", "moon"], "seeds": 1, "rows": kinds}
    assert list(cases_lost({"families": part, "gaussian": {**part, "rows": {}}})) == [
        "one sinusoid, moon: oracle notch 21 dB, this package 20 dB"
    ]


def test_the_last_results_are_reported_in_full():
    results = load()
    assert len(readme_block(results).splitlines()) > 14
    text = page(results)
    assert all(f"\n| {name} |" in text for name in results["methods"])
    assert all(
        f"### {title[0].upper()}{title[1:]}\n" in text for title in results["sweeps"]["rows"]
    )


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        (9 + AHEAD, f"{AHEAD}.00 dB ahead of strong"),
        (10, "**only 1.00 dB ahead of strong**"),
        (7, "**2.00 dB behind strong**"),
    ],
)
def test_a_small_lead_and_none_are_said_beside_the_best_other_method(ours, words):
    assert standing({OURS: row(ours), "weak": row(2), "strong": row(9), "gone": FAILED}) == words


def test_the_block_of_lines_has_all_methods_and_says_which_were_not_measured():
    kinds = {
        "columns": {OURS: row(15, 13), "strong": row(9, 7), "gone": FAILED},
        "rows": {OURS: row(9, 7), "strong": row(8, 8), "gone": FAILED},
    }
    method = {"package": None, "given": "nothing", "setting": "none"}
    block = lines_block(
        {
            "date": "today",
            "images": ["cell", "moon"],
            "versions": {},
            "methods": dict.fromkeys(kinds["rows"], method),
            "rows": kinds,
        }
    )
    assert "| columns | 14.0 / 13.0 (moon) | 8.0 | – | 6.00 dB ahead of strong |" in block
    assert "in 1 of 2 kinds of noise; it is not in rows." in block
    assert f"Not measured: gone: {FAILED['failed']}." in block


def test_the_last_results_on_lines_are_reported_in_full():
    results = load(LINES)
    block = lines_block(results)
    assert all(f"\n| {kind} | " in block for kind in results["rows"])
    assert all(f"\n| {name} | " in block for name in results["methods"])


def test_the_block_is_put_between_its_marks():
    text = f"before\n\n{BEGIN}\nold\n\n{END}\nafter\n"
    new = with_block(text, "new")
    assert new == f"before\n\n{BEGIN}\nnew\n\n{END}\nafter\n"
    assert with_block(new, "new") == new
    with pytest.raises(ValueError, match="lacks"):
        with_block("no marks", "new")
