"""UNIX sockets on which Postfix asks the gate, and who takes their connections."""

from __future__ import annotations

import asyncio
import grp
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seg_bridge.gate.files import make_folder

log = logging.getLogger(__name__)

BACKLOG = 512
POSTFIX_GROUP = "postfix"


def open_socket(path: Path) -> socket.socket:
    """The socket that Postfix connects to; one that an earlier process left is replaced.

    Raises ``OSError``.
    """
    make_folder(path.parent)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        _let_postfix_in(path)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _let_postfix_in(path: Path) -> None:
    """Its group alone, where we may give the socket to it; else whoever may enter the folder."""
    try:
        os.chown(path, -1, grp.getgrnam(POSTFIX_GROUP).gr_gid)
        path.chmod(0o660)
    except (KeyError, PermissionError):
        path.chmod(0o666)


class Acceptor:
    """Takes one connection at a time: a process that took all that wait would leave none to the
    others which share the socket.
    """

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.BaseProtocol]) -> None:
        self._listener = listener
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._greeting: set[asyncio.Task[Any]] = set()
        self._loop.add_reader(listener.fileno(), self._accept)

    def close(self) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        try:
            line, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return  # another process was faster
        except OSError as error:
            log.error("no connection from Postfix can be taken: %s", error)
            return
        line.setblocking(False)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._make, line))
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)
