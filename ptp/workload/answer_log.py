"""The answers that a service acknowledged, kept by the client that was told so: what must be found afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ptp.queries import NewAnswer


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One answer that the service says it has recorded."""

    key: str
    user: int
    question: int
    correct: bool


class AnswerLog:
    """A file that takes one line for each acknowledged answer, whole, whatever becomes of the process after it."""

    def __init__(self, folder: Path, place: int) -> None:
        """Begin a file of a process of the generator."""
        self._file = os.open(folder / f"answers-{place}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, answer: NewAnswer) -> None:
        """Note an answer, once the service has acknowledged it."""
        told = Acknowledged(answer.key or "", answer.user_id, answer.question_id, answer.is_correct)
        os.write(self._file, json.dumps(asdict(told)).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def acknowledged(folder: Path) -> Iterator[Acknowledged]:
    """All answers noted in a folder."""
    for path in sorted(folder.glob("answers-*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield Acknowledged(**json.loads(line))
