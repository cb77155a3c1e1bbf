"""List the licences of all that the package needs, as Markdown: ``python scripts/licences.py``.

Exits non-zero if one of them asks for what a BSD-licensed package can't promise its users.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

PACKAGE = "napari-periodic-denoise"
EXTRAS = ("zarr", "distributed")  # `all` asks for a Qt binding, which is the user's own choice
REFUSED = re.compile(r"AGPL|Affero|(?<!L)GPL|General Public|Non-?Commercial|Proprietary", re.I)
LESSER = re.compile(r"LGPL|Lesser General Public|Library General Public", re.I)


def needed(name: str, extras: tuple[str, ...], seen: set[tuple[str, str]]) -> Iterator[str]:
    """Names of all distributions that one of them needs here, itself included."""
    for extra in ("", *extras):
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        yield name
        for line in distribution(name).requires or ():
            requirement = Requirement(line)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
            if applies:
                key = requirement.name.lower().replace("_", "-").replace(".", "-")
                yield from needed(key, tuple(sorted(requirement.extras)), seen)


def licence(of: Distribution) -> str:
    """What a distribution says of its licence, in one line."""
    said = of.metadata.get("License-Expression")
    if said:
        return str(said)
    prefix = "License :: "
    classified = [
        line.split(" :: ")[-1]
        for line in of.metadata.get_all("Classifier") or ()
        if line.startswith(prefix) and not line.endswith("OSI Approved")
    ]
    short = (of.metadata.get("License") or "unknown").strip().splitlines()[0]
    return ", ".join(classified) or short


def is_refused(said: str) -> bool:
    """Whether every choice that a licence leaves is one to refuse."""
    return all(
        REFUSED.search(LESSER.sub("", choice)) or choice == "unknown"
        for choice in re.split(r"\bOR\b", said)
    )


def main() -> None:
    """Print the table; exit non-zero with those that are refused."""
    try:
        names = sorted(set(needed(PACKAGE, EXTRAS, set())) - {PACKAGE})
    except PackageNotFoundError as error:
        sys.exit(f"not installed: {error}")
    refused = []
    print("| package | version | licence |\n|---|---|---|")
    for name in names:
        of = distribution(name)
        said = licence(of)
        print(f"| {of.metadata['Name']} | {of.version} | {said} |")
        if is_refused(said):
            refused.append(f"{name}: {said}")
    if refused:
        sys.exit("\n".join(refused))


if __name__ == "__main__":
    main()
