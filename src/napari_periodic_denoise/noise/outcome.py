"""What is done with a component of the noise."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol, TypeVar


class Outcome(StrEnum):
    """What is done with a component."""

    REMOVED = "removed"
    SUGGESTED = "suggested"  # it may be part of the specimen, and stays in the image
    SWITCHED_OFF = "switched off"  # the user keeps it in the image


class _Component(Protocol):
    @property
    def outcome(self) -> Outcome: ...


Component = TypeVar("Component", bound=_Component)


def removed(components: Iterable[Component]) -> list[Component]:
    """Return the components that are removed, without those that stay in the image."""
    return [each for each in components if each.outcome is Outcome.REMOVED]


def kept(components: Iterable[Component]) -> list[Component]:
    """Return the components that stay in the image."""
    return [each for each in components if each.outcome is not Outcome.REMOVED]
