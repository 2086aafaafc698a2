"""A package that only some test files need, where it is not installed."""

import types

import pytest


class Absent(types.ModuleType):
    """Stands in for the package: a file that imports a name from it is skipped, the others run."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
        pytest.skip(f"{self.__name__} is not installed", allow_module_level=True)
