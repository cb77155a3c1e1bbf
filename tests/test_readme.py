import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def run_example(number):
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(examples[number], str(README), "exec"), {})


def test_the_python_example_runs(capsys):
    run_example(0)
    summary, dtype, error = capsys.readouterr().out.splitlines()[:3]
    assert "1 wave" in summary
    assert dtype == "uint8"
    assert float(error) < 0.5


def test_the_example_of_a_stack_runs(capsys):
    run_example(1)
    assert capsys.readouterr().out.startswith("1 wave, 7.7 px")
