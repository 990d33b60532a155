"""A pipeline that trains, compares and explains image classifiers."""

import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Any


class _Loader(SourceFileLoader):
    """Leaves no bytecode in the folders of this package.

    Stages of comparison/ depend on some of them. They lie outside that project, where its
    .dvcignore has no effect: bytecode in them would make all its trainings stale.
    """

    def set_data(self, *_: Any, **__: Any) -> None:
        """Write nothing."""


def _finder(folder: str) -> FileFinder:
    if not Path(folder).is_relative_to(Path(__file__).parent):
        raise ImportError("another package's")
    return FileFinder(folder, (_Loader, SOURCE_SUFFIXES))


sys.path_hooks.insert(0, _finder)
