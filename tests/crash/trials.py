"""The trials: a command is killed at one of its points, and whatever is done next, all is well."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ptp.engine import connect_file, moves
from tests.crash.place import At, Ended, Place

KILLED = -9
LOCKS = {"old.db.ptp-lock", "new.db.ptp-lock"}
"""What may be left where a command was killed at its very end; nobody holds them, and the next one takes them."""
FROZEN = ("after UPDATE main.ptp_move SET state = :state, owner", 1, 2)
"""The point after the commit of the freeze."""
MOVED = ("after UPDATE main.ptp_move SET state = :state, phase", 1, 2)
"""The point after the commit with which the source is left."""
_TOLD = re.compile(
    r"ptp: .*(An online migration of .* was interrupted in its phase '(capture|build|catch up|verify|cut over|settle)'"
    r"|has moved to|was rolled back to|A rollback of .* was interrupted|is at head already).*: ptp .*"
)


def kill_offline(place: Place, at: At, way: str) -> None:
    """Killed offline: the source was only read, and the same command goes on."""
    place.reset()
    before = place.source.read_bytes()
    place.kill_at("offline", at)
    assert place.source.read_bytes() == before
    had_left = place.target.with_name("new.db.partial").exists()
    again = place.run("offline")
    if again.code:  # it was at its end
        assert again.code == 2
        assert "is at head already" in again.text
    else:
        assert ("had left new.db.partial, which was removed; it had changed nothing" in again.text) is had_left
    place.is_whole(place.target)
    assert place.source.read_bytes() == before
    assert place.leftovers() <= (LOCKS if again.code else set())


def kill_online(place: Place, at: At, way: str) -> None:
    """Killed online, while an application writes: it goes on writing, and the migration is finished or undone."""
    place.reset()
    with place.application():
        place.await_writes()
        place.kill_at("online briefly", at)
        the_application_goes_on(place)
    finish(place, way)
    if way == "rollback":
        assert place.writable() == ["old.db"]


def kill_rollback(place: Place, at: At, way: str) -> None:
    """Killed while it takes a migration back, and an application writes."""
    place.reset("moved")
    with place.application(first=place.acknowledged()):
        place.await_writes()
        place.kill_at("rollback briefly", at)
        the_application_goes_on(place)
    finish(place, way, may_be_done=True)
    if way == "rollback":
        assert place.writable() == ["old.db"]


def kill_settle(place: Place, at: At, way: str) -> None:
    """Killed while it ends a migration for good."""
    place.reset("moved")
    place.kill_at("settle", at)
    assert place.writable() == ["new.db"]
    again = place.run("settle")
    assert again.code == 0 or (again.code == 2 and "the move is settled. Nothing to settle" in again.text), again.text
    assert place.writable() == ["new.db"]
    place.is_whole(place.target)
    assert place.leftovers() == set()


def kill_resumed(state: str) -> Callable[[Place, At, str], None]:
    """Killed while it finishes a migration that was killed before."""

    def trial(place: Place, at: At, way: str) -> None:
        place.reset(state)
        place.kill_at("resume briefly", at)
        assert len(place.writable()) <= 1
        with place.application(first=place.acknowledged()):
            place.await_writes()
        finish(place, way)

    return trial


def the_application_goes_on(place: Place) -> None:
    """Whoever died: never two databases take writes, and before long one does."""
    assert len(place.writable()) <= 1
    place.await_writes()
    assert len(place.writable()) <= 1


def finish(place: Place, way: str, *, may_be_done: bool = False) -> None:
    """The next command tells what is, and changes nothing; the way out ends with one database, which is whole.

    Only a rollback may have come to its end, so that nothing is left to be finished.
    """
    before = states(place)
    told = place.run("online")
    if told.code:
        assert is_told(told), told.text
        assert states(place) == before
    elif before[0]:
        raise AssertionError(f"begun twice: {before}")
    ended = place.run(way)
    if ended.code:
        assert may_be_done, (told.text, ended.text)
        assert ended.code == 2, ended.text
        assert "nothing to undo" in ended.text or "nothing to resume" in ended.text, ended.text
        assert place.writable() == ["old.db"]
    (name,) = place.writable()
    place.is_whole(place.folder / name)
    assert place.leftovers() <= (LOCKS if ended.code else set()), place.leftovers()


def is_told(ended: Ended) -> bool:
    """Whether a command said in one sentence what it found, and the way on."""
    return ended.code == 2 and bool(_TOLD.fullmatch(ended.text.strip())) and ended.text.count("\n") == 1


def states(place: Place) -> tuple[object, object]:
    """The state rows of both databases."""
    found = []
    for path in (place.source, place.target):
        if path.exists():
            with connect_file(path, read_only=True) as db:
                found.append(moves.read_move(db))
        else:
            found.append(None)
    return found[0], found[1]


def try_all(place: Place, trial: Callable[[Place, At, str], None], points: Iterable[At], names: list[str]) -> int:
    """Try points, with both ways out by turns; all that fail are told together. How many were tried."""
    failed, tried = [], 0
    for tried, at in enumerate(points, start=1):
        way = ("resume", "rollback")[tried % 2]
        try:
            trial(place, at, way)
        except AssertionError as problem:
            what = names[at] if isinstance(at, int) and at < len(names) else ""
            failed.append(f"{at} ({' '.join(what.split())[:120]}), {way}: {' '.join(str(problem).split())[:600]}")
    assert not failed, f"{len(failed)} of {tried}:\n" + "\n".join(failed)
    return tried


def keep_states(place: Place) -> None:
    """Keep the folder as it is when a migration has moved, and when one died in its freeze or just after its end."""
    place.reset()
    with place.application():
        place.await_writes(3)
        assert place.run("online").code == 0
        place.await_writes(3)
    place.keep("moved")
    place.reset()
    for state, after in (("freezing", FROZEN), ("left", MOVED)):
        place.reset()
        assert place.run("online briefly", after=after).code == KILLED
        place.keep(state)


Trial = Callable[[Place, At, str], None]
TRIALS: dict[str, Trial] = {
    "offline": kill_offline,
    "online": kill_online,
    "rollback": kill_rollback,
    "settle": kill_settle,
    "resume a freezing": kill_resumed("freezing"),
    "resume a left": kill_resumed("left"),
}
