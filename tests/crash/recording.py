"""What a process asks of the disk, recorded below SQLite: every write, sync, creation and removal, in order.

SQLite reaches its files through a table of functions, which is patched in this process. Nothing above notices, the
code under trial runs as it is, on the driver that it always uses, and one recording gives any number of power losses.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = tuple[Any, ...]
"""create, delete (both with whether the folder is synced), write, truncate, sync, rename, sync folder; or ack."""

_CREATE, _JOURNALS = 0x4, 0x800 | 0x80000  # SQLITE_OPEN_CREATE; a rollback journal, a write-ahead log
_POINTERS = 18
_X_WRITE, _X_TRUNCATE, _X_SYNC = 2, 3, 4
_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_int)
)
_DELETE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("delete", ctypes.c_void_p),
    ]


class _Methods(ctypes.Structure):
    _fields_ = [("version", ctypes.c_int), ("calls", ctypes.c_void_p * _POINTERS)]


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.POINTER(_Methods))]


def can_record() -> bool:
    """Whether the SQLite of Python's driver can be reached: it can where it is a library of its own."""
    return hasattr(ctypes.CDLL(_sqlite3.__file__), "sqlite3_vfs_find")


def _path(name: int | None) -> str:
    return os.fsdecode(ctypes.string_at(name)) if name else ""


@dataclass
class Recorder:
    """The events of this process under one folder."""

    folder: str
    events: list[Event] = field(default_factory=list)
    _paths: dict[int, str] = field(default_factory=dict)
    _tables: dict[int, _Methods] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)

    def start(self) -> None:
        """Patch SQLite's way to its files, and Python's."""
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        vfs = library.sqlite3_vfs_find(None).contents
        real_open, real_delete = _OPEN(vfs.open), _DELETE(vfs.delete)

        def opened(own: int, name: int | None, file: int, flags: int, out: Any) -> int:
            path = _path(name)  # of which SQLite keeps the address
            is_new = bool(path) and flags & _CREATE and not Path(path).exists()
            code = real_open(own, name, file, flags, out)
            if code == 0 and self._watches(path):
                self._paths[file] = path
                if is_new:
                    self.events.append(("create", path, bool(flags & _JOURNALS)))
                self._patch(file)
            return code

        def deleted(own: int, name: int, folder_too: int) -> int:
            path = _path(name)
            there = Path(path).exists()
            code = real_delete(own, name, folder_too)
            if there and self._watches(path):
                self.events.append(("delete", path, bool(folder_too)))
            return code

        callbacks = _OPEN(opened), _DELETE(deleted)
        self._kept += [real_open, real_delete, *callbacks]
        vfs.open, vfs.delete = (ctypes.cast(c, ctypes.c_void_p).value for c in callbacks)
        self._patch_python()

    def _watches(self, path: str) -> bool:
        return path.startswith(self.folder) and not path.endswith("-shm")

    def _patch(self, file: int) -> None:
        """Give an open file a table of functions that record, made once from each that SQLite has."""
        given = ctypes.cast(file, ctypes.POINTER(_File)).contents
        address = ctypes.addressof(given.methods.contents)
        if address not in self._tables:
            table = _Methods()
            ctypes.memmove(ctypes.byref(table), address, ctypes.sizeof(_Methods))
            self._replace(table, _X_WRITE, _WRITE, self._wrote)
            self._replace(table, _X_TRUNCATE, _TRUNCATE, lambda file, size: ("truncate", self._paths[file], size))
            self._replace(table, _X_SYNC, _SYNC, lambda file, flags: ("sync", self._paths[file]))
            self._tables[address] = table
        given.methods = ctypes.pointer(self._tables[address])

    def _wrote(self, file: int, data: int, size: int, offset: int) -> Event:
        return ("write", self._paths[file], offset, ctypes.string_at(data, size))

    def _replace(self, table: _Methods, number: int, kind: Any, told: Callable[..., Event]) -> None:
        real = kind(table.calls[number])

        def call(*values: Any) -> int:
            self.events.append(told(*values))
            code: int = real(*values)
            return code

        callback = kind(call)
        self._kept += [real, callback]
        table.calls[number] = ctypes.cast(callback, ctypes.c_void_p).value

    def _patch_python(self) -> None:
        unlink, rename, replace, fsync = os.unlink, os.rename, os.replace, os.fsync

        def unlinked(path: Any, **more: Any) -> None:
            there = Path(path).exists()
            unlink(path, **more)
            if there and self._watches(os.fspath(path)):
                self.events.append(("delete", os.fspath(path), False))

        def renamed(real: Callable[..., None]) -> Callable[..., None]:
            def call(old: Any, new: Any, **more: Any) -> None:
                real(old, new, **more)
                if self._watches(os.fspath(new)):
                    self.events.append(("rename", os.fspath(old), os.fspath(new)))

            return call

        def synced(descriptor: int) -> None:
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            self.events.append(("sync folder" if Path(path).is_dir() else "sync", path))
            fsync(descriptor)

        os.unlink, os.rename, os.replace, os.fsync = unlinked, renamed(rename), renamed(replace), synced  # type: ignore[assignment]
