"""Where the functions of a loaded shared library are, by the table of symbols in its file (ELF, 64 bits).

The library of libSQL's Python driver exports nothing but its entry for Python; the C functions of libSQL are in it all
the same, and named in the file unless it was stripped.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection, Mapping
from pathlib import Path

_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_SYMBOL_TABLE, _FUNCTION = 2, 2
_SECTION, _SYMBOL = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ")


def functions_in(path: Path, names: Collection[str]) -> Mapping[str, int]:
    """By name, how far behind the beginning of the loaded library each of these functions is.

    Without those that the file does not name; empty for a file of another format.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[: len(_MAGIC)] != _MAGIC:
            return {}
        wanted = {name.encode(): name for name in names}
        (at,) = struct.unpack_from("<Q", data, 0x28)
        (count,) = struct.unpack_from("<H", data, 0x3C)
        sections = [_SECTION.unpack_from(data, at + number * _SECTION.size) for number in range(count)]
        found = {}
        for _, kind, _, _, begin, size, strings, *_ in sections:
            if kind == _SYMBOL_TABLE:
                texts = sections[strings][4]
                for text, info, _, _, value, _ in _SYMBOL.iter_unpack(data[begin : begin + size]):
                    if info & 0xF == _FUNCTION and value:
                        name = data[texts + text : data.find(b"\0", texts + text)]
                        if name in wanted:
                            found[wanted[name]] = value
        return found
