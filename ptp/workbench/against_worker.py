"""One side of a comparison: a process that makes the calls of one tree's own code and tells what they took.

It is run by its path and never imported: `ptp` is here the package of the tree that is measured. Of that it uses only
what every version has, `open_engine` and `workload`, so that the same worker drives both sides. A request and its
answer are pickled values of Python's own types.

    python -P against_worker.py TREE DATABASE DRAWS SEED
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import inspect
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class Side:
    """The queries of one tree on one database, with their arguments drawn."""

    def __init__(self, tree: Path, database: Path, *, draws: int, seed: int) -> None:
        """Load the package of `tree` and draw; raises ImportError where another one is found."""
        import ptp

        if not Path(str(ptp.__file__)).resolve().is_relative_to(tree.resolve()):
            raise ImportError(f"Python found ptp in {Path(str(ptp.__file__)).parent}, not in {tree}")
        from ptp.engine import open_engine
        from ptp.workload.cases import workload

        self._engine: Any = open_engine(database)
        self._queries: dict[str, Any] = {q.name: q for q in workload(self._engine, count=draws, seed=seed)}

    def describe(self) -> list[dict[str, Any]]:
        """What there is to call, in order: names, whether it writes, why it cannot be called, digests of its draws."""
        return [
            {
                "name": query.name,
                "what": query.what,
                "writes": bool(query.writes),
                "not_applicable": query.not_applicable,
                "draws": _digests(query.draws),
            }
            for query in self._queries.values()
        ]

    def record(self, name: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Make some calls; of each its statements with values, the digest of its answer, and what is wrong with it."""
        query, found = self._queries[name], []
        for number in numbers:
            one = query.draws[number % len(query.draws)]
            statements: list[tuple[str, list[Any]]] = []
            answer = wrong = None
            try:
                with self._listening(statements):
                    outcome = query.run(one)
                answer, wrong = _digest(plain(outcome)), _wrong(query.check, one, outcome)
            except Exception as problem:
                wrong = f"{type(problem).__name__}: {problem}"
            found.append({"statements": statements, "answer": answer, "wrong": wrong})
        return found

    def begin(self, name: str) -> None:
        """Collect garbage, so that no query pays for the one before it."""
        gc.collect()

    def call(self, name: str, number: int) -> int | str:
        """Nanoseconds that one call took, or the error that it raised.

        What it answers is not checked here: it was when calls were recorded, and an oracle between two calls would
        leave other things in the processor's caches than the other side's.
        """
        query = self._queries[name]
        one = query.draws[number % len(query.draws)]
        try:
            start = time.perf_counter_ns()
            query.run(one)
            end = time.perf_counter_ns()
        except Exception as problem:
            return f"{type(problem).__name__}: {problem}"
        return end - start

    @contextlib.contextmanager
    def _listening(self, found: list[tuple[str, list[Any]]]) -> Iterator[None]:
        from sqlalchemy import event

        def note(_db: Any, _cursor: Any, sql: str, values: Any, _context: Any, many: bool) -> None:
            found.append((sql, [_bound(one) for one in values] if many else [_bound(values)]))

        event.listen(self._engine, "before_cursor_execute", note)
        try:
            yield
        finally:
            event.remove(self._engine, "before_cursor_execute", note)


def _wrong(check: Any, one: Any, outcome: Any) -> str | None:
    """What is wrong with an outcome; a check of an older commit is asked without what was drawn."""
    wanted = [p for p in inspect.signature(check).parameters.values() if p.default is p.empty]
    asked = (one, outcome) if len(wanted) == 2 else (outcome,)
    wrong = check(*asked)
    return f"wrong outcome: {wrong}" if wrong else None


def plain(value: Any) -> Any:
    """An answer as lists of values in order, without the names of classes and fields, which a branch may change."""
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return [[plain(key), plain(one)] for key, one in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if dataclasses.is_dataclass(value):
        return [plain(getattr(value, f.name)) for f in dataclasses.fields(value)]
    return value if value is None or isinstance(value, str | bytes | int | float) else str(value)


def _digests(draws: Sequence[Any]) -> dict[str, str]:
    """A digest of each field over all draws: those that both sides know are compared."""
    names = [f.name for f in dataclasses.fields(draws[0])] if draws and dataclasses.is_dataclass(draws[0]) else []
    return {name: _digest([plain(getattr(one, name)) for one in draws]) for name in names}


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _bound(values: Any) -> Any:
    return dict(values) if hasattr(values, "keys") else tuple(values)


def main(arguments: Sequence[str]) -> None:
    """Say what there is to call, then answer requests until there are no more; an error is an answer too."""
    back, sys.stdout = sys.stdout.buffer, sys.stderr
    tree, database, draws, seed = arguments
    try:
        side = Side(Path(tree), Path(database), draws=int(draws), seed=int(seed))
        first: tuple[bool, Any] = (True, side.describe())
    except Exception as problem:
        first = (False, f"{type(problem).__name__}: {problem}")
    _send(back, first)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while first[0]:
            what, values = pickle.load(sys.stdin.buffer)
            _send(back, (True, getattr(side, what)(*values)))


def _send(to: Any, answer: tuple[bool, Any]) -> None:
    to.write(pickle.dumps(answer))
    to.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
