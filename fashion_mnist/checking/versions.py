"""The versions of the libraries that are installed."""

from importlib.metadata import PackageNotFoundError, version


def installed(library: str) -> str | None:
    """A library's version; None if it is not installed.

    TensorFlow is a package of its own for processors only, with the same version.
    """
    for package in (library, f"{library}-cpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None
