"""What the package's source may not do, looked for in its syntax trees."""

import ast
from pathlib import Path

import pytest

import napari_periodic_denoise

PACKAGE = Path(napari_periodic_denoise.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# that run code which comes as data
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "runpy"}
LOADERS = {"numpy.load", "np.load", "torch.jit.load", "torch.hub.load"}


def dotted(node):
    """Name of what is called, with what it is taken from."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def options(call):
    return {
        keyword.arg: keyword.value.value
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant)
    }


def faults(source):
    """What some source may not do, in words."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                if name.split(".")[0] in MODULES:
                    yield f"imports {name}"
    for call in calls(tree):
        name = dotted(call.func)
        if name in CALLS | LOADERS:
            yield f"calls {name}"
        if options(call).get("shell") or options(call).get("allow_pickle"):
            yield f"calls {name} with a shell or pickle"
        if name == "torch.load" and options(call).get("weights_only") is not True:
            yield "loads weights that may hold code"


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')", "exec(text)", "import pickle", "from pickle import load",
        "os.system('ls')", "subprocess.run('ls', shell=True)", "np.load(path)",
        "torch.load(path)", "torch.load(path, weights_only=False)", "torch.hub.load(a, b)",
        "open_array(path, allow_pickle=True)",
    ],
)  # fmt: skip
def test_what_may_not_be_done_is_seen(source):
    assert list(faults(source))


def test_nothing_that_comes_as_data_is_run():
    assert len(SOURCES) > 40
    found = {
        str(path.relative_to(PACKAGE)): told
        for path in SOURCES
        if (told := list(faults(path.read_text("utf-8"))))
    }
    assert found == {}


def test_weights_are_loaded_and_downloaded_in_one_place():
    """Where tests/test_weights.py holds that the hash is checked and code is refused."""
    used = {"torch.load": set(), "urllib": set(), "http": {"weights.py"}, "requests": set()}
    for path in SOURCES:
        text = path.read_text("utf-8")
        tree = ast.parse(text)
        names = {dotted(call.func) for call in calls(tree)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").split(".")[0])
        for name in used.keys() & names:
            used[name].add(path.name)
    requests = used.pop("requests")
    assert not requests
    assert all(files == {"weights.py"} for files in used.values())
