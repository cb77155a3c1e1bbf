import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_python_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(example, str(README), "exec"), {})
    summary, dtype, error = capsys.readouterr().out.splitlines()[:3]
    assert "1 wave" in summary
    assert dtype == "uint8"
    assert float(error) < 0.5
