"""The deployers by mode."""

from tuning.deployers.base import Deployer
from tuning.deployers.local import LocalDeployer
from tuning.errors import DocumentError, Problem

_DEPLOYERS: dict[str, type[Deployer]] = {"local": LocalDeployer}

SUPPORTED_MODES = frozenset(_DEPLOYERS)
"""What `deployment.mode` may say in this version."""


def mode_problems(mode: str) -> list[Problem]:
    """What is wrong with `deployment.mode`; empty when it can be deployed."""
    if mode in SUPPORTED_MODES:
        return []
    known = ", ".join(sorted(SUPPORTED_MODES))
    return [Problem("deployment.mode", f"{mode} is not available yet in this version; use {known}", mode)]


def deployer_for(mode: str) -> Deployer:
    """A deployer of its own; DocumentError says which modes there are."""
    if problems := mode_problems(mode):
        raise DocumentError(problems)
    return _DEPLOYERS[mode]()


def all_deployers() -> list[Deployer]:
    """One of each that can be used on this machine, for whoever looks for what was left running."""
    return [make() for make in _DEPLOYERS.values()]
