"""Writing files so that they are there after the power fails."""

from __future__ import annotations

import os
from pathlib import Path

from seg_bridge.gate.failpoints import failpoint


def sync_folder(folder: Path) -> None:
    """Makes names in ``folder`` durable; a file's own fsync does not cover its name."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """The folder and its parents, mode 700, each durable in its parent."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def write_synced(path: Path, data: bytes) -> None:
    """The file's bytes are durable, its name not yet.  Raises ``OSError``."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def previous_of(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def keep_previous(path: Path) -> None:
    """What the file holds now stays beside it when it is replaced.  Raises ``OSError``."""
    scratch = path.with_name(path.name + ".keep")
    scratch.unlink(missing_ok=True)
    try:
        os.link(path, scratch)
    except FileNotFoundError:  # there is none yet
        return
    scratch.replace(previous_of(path))


def replace_file(path: Path, data: bytes) -> None:
    """After a crash the file holds all of ``data`` or all of what it held.  Raises ``OSError``."""
    scratch = path.with_name(path.name + ".new")
    write_synced(scratch, data)
    failpoint("file.before_rename")
    scratch.replace(path)
    sync_folder(path.parent)
    failpoint("file.after_rename")
