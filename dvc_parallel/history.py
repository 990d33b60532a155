"""What git remembers of files and folders, found by the hashes in dvc.lock."""

import contextlib
import io
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

if TYPE_CHECKING:
    from dvc.ignore import DvcIgnoreFilter
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta

COMMITS = 1000  # that changed a file or folder; older ones are not looked at


class Entry(NamedTuple):
    """A file of a folder.

    Attributes:
        hash: of its content, as DVC computes it.
        size: in bytes.
    """

    hash: str
    size: int


def digest(content: bytes, algorithm: str) -> str:
    """The content's hash as DVC computes it; the algorithm is md5 or md5-dos2unix."""
    from dvc_data.hashfile.hash import fobj_md5

    return str(fobj_md5(io.BytesIO(content), name=algorithm))


def is_tracked(path: Path) -> bool:
    """Whether git has the file, or files in the folder, even if it is not in the workspace."""
    folder = next(parent for parent in path.parents if parent.is_dir())
    name = str(path.relative_to(folder))
    return bool(_git(folder, "ls-files", "--with-tree=HEAD", "--", name))


def find_file(path: Path, recorded: "HashInfo") -> bytes | None:
    """What the file held when it had that hash; None if git does not know."""
    with _reader(path.parent) as reader:
        for commit in _commits(path.parent, path.name):
            content = reader.read(f"{commit}:./{path.name}")
            if content is not None and digest(content, str(recorded.name)) == recorded.value:
                return content
    return None


def find_folder(
    path: Path,
    recorded: "HashInfo",
    meta: "Meta",
    now: Mapping[str, Entry],
    ignore: "DvcIgnoreFilter",
) -> dict[str, Entry] | None:
    """The files of the folder when it had that hash, by their names; None if git does not know.

    Args:
        path: the folder.
        recorded: its hash.
        meta: what dvc.lock holds besides: size and number of files.
        now: what it holds now; what git ignores of this may have been there before.
        ignore: which files DVC leaves out.
    """
    unknown = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--", "."]
    ignored = set(_split(_git(path, *unknown)))
    local = {name: entry for name, entry in now.items() if name in ignored}
    hashes: dict[str, str] = {}
    with _reader(path) as reader:
        for commit in _commits(path, "."):
            blobs = {
                name: (blob, size)
                for name, (blob, size) in _blobs(path, commit).items()
                if not _is_ignored(path, name, ignore)
            }
            for others in [{}, local] if local else [{}]:
                sizes = {name: size for name, (_, size) in blobs.items()}
                sizes = {name: entry.size for name, entry in others.items()} | sizes
                if meta.nfiles not in (None, len(sizes)):
                    continue
                if meta.size not in (None, sum(sizes.values())):
                    continue
                for blob, _ in blobs.values():
                    if blob not in hashes:
                        hashes[blob] = digest(reader.read(blob) or b"", str(recorded.name))
                files = {name: Entry(hashes[blob], size) for name, (blob, size) in blobs.items()}
                files = {**others, **files}
                if _digest_of(files, str(recorded.name)) == recorded.value:
                    return files
    return None


def _commits(folder: Path, name: str) -> list[str]:
    """The commits that changed it, on all branches and in the reflog, newest first.

    The reflog has what was amended or rebased.
    """
    which = ["--all", "--reflog", "--full-history", f"--max-count={COMMITS}"]
    return _git(folder, "rev-list", *which, "--", name).decode().split()


def _blobs(folder: Path, commit: str) -> dict[str, tuple[str, int]]:
    """The files of a folder in a commit, each with git's name for its content, and its size."""
    listed = _git(folder, "ls-tree", "-r", "-z", "-l", "--full-tree", f"{commit}:./")
    found = {}
    for line in _split(listed):
        about, name = line.split("\t", 1)
        _, kind, blob, size = about.split()
        if kind == "blob":
            found[name] = (blob, int(size))
    return found


def _is_ignored(folder: Path, name: str, ignore: "DvcIgnoreFilter") -> bool:
    *above, _ = PurePosixPath(name).parents  # of a/b/c: a/b and a
    if any(ignore.is_ignored_dir(str(folder / parent)) for parent in above):
        return True
    return bool(ignore.is_ignored_file(str(folder / name)))


def _digest_of(files: Mapping[str, Entry], algorithm: str) -> str:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta
    from dvc_data.hashfile.tree import Tree

    tree = Tree()
    for name, entry in files.items():
        tree.add(tuple(name.split("/")), Meta(), HashInfo(algorithm, entry.hash))
    tree.digest()
    return str(tree.oid)


def _git(folder: Path, *arguments: str) -> bytes:
    """What a command of git prints; nothing if it fails, as outside a repository."""
    command = ["git", "--literal-pathspecs", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).stdout


def _split(listed: bytes) -> list[str]:
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


class _Reader:
    """Reads contents from git, by any name that git knows them by."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._into = cast("BinaryIO", process.stdin)
        self._from = cast("BinaryIO", process.stdout)

    def read(self, name: str) -> bytes | None:
        """The content; None if there is none of that name, or if it is not a file's."""
        if "\n" in name:
            return None
        self._into.write(os.fsencode(name) + b"\n")
        self._into.flush()
        about = self._from.readline().split()
        if len(about) != 3 or not about[2].isdigit():
            return None
        content = self._from.read(int(about[2]))
        self._from.read(1)
        return content if about[1] == b"blob" else None


@contextlib.contextmanager
def _reader(folder: Path) -> Iterator[_Reader]:
    with subprocess.Popen(
        ["git", "cat-file", "--batch"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield _Reader(process)
