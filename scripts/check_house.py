"""Check house rules that other linters do not: ``python scripts/check_house.py``.

A function body has at most 60 lines without its docstring. No endless loop calls ``next``;
`runtime.steps` drives generators. A comment gives the source of each numeric module constant.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
MOST_LINES = 60


def main() -> int:
    """Print the problems, one line each."""
    problems = [
        f"{path.relative_to(SOURCE.parent)}:{line}: {problem}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line, problem in sorted(check(path.read_text("utf-8")))
    ]
    print("\n".join([*problems, f"{len(problems)} problems"]))
    return int(bool(problems))


def check(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the description of each problem of a module."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = body_lines(node)
            if lines > MOST_LINES:
                yield (
                    node.lineno,
                    f"{node.name} has {lines} lines, more than {MOST_LINES}",
                )
        elif isinstance(node, ast.While) and is_true(node.test) and calls_next(node):
            yield node.lineno, "an endless loop calls next: use runtime.steps"
    texts = source.splitlines()
    for node in tree.body:
        if isinstance(node, ast.Assign) and is_number(node.value) and not explained(node, texts):
            names = ", ".join(map(ast.unparse, node.targets))
            yield node.lineno, f"{names} has no comment with its source"


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        return 0
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def is_true(test: ast.expr) -> bool:
    """Whether a condition is the constant True."""
    return isinstance(test, ast.Constant) and test.value is True


def calls_next(loop: ast.While) -> bool:
    """Whether a loop calls `next`."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "next"
        for node in ast.walk(loop)
    )


def is_number(value: ast.expr) -> bool:
    """Whether a value consists of numbers, at least one of them not 0, 1 or 2."""
    numbers = [n.value for n in ast.walk(value) if isinstance(n, ast.Constant)]
    plain = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    called = any(isinstance(n, ast.Call) for n in ast.walk(value))
    return plain and not called and any(n not in (0, 1, 2) for n in numbers)


def explained(node: ast.Assign, texts: list[str]) -> bool:
    """Whether there is a comment on the constant's lines, or above it or its neighbours."""
    lines = texts[node.lineno - 1 : node.end_lineno]
    if any("#" in line for line in lines):
        return True
    above = node.lineno - 2
    while above >= 0 and texts[above].strip() and not texts[above].startswith((" ", "#", ")")):
        above -= 1
    return above >= 0 and texts[above].startswith("#")


if __name__ == "__main__":
    sys.exit(main())
