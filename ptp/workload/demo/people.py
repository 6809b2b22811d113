"""The users of a demo source: who they are, how keen and how able."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptp.workload.demo.arrays import Floats, Ints, dice, optional, picked, stream
from ptp.workload.demo.names import BIOS, DOMAINS, LANGUAGES, TIMEZONES, person
from ptp.workload.demo.sizes import DAY, DEMO_NOW, DEMO_START, Size
from ptp.workload.demo.tables import Table, span

#: The first users are the platform's own: one admin, then moderators, who review questions.
STAFF = 5

#: Questions are written and reviewed before the first learner arrives.
OPENING = DEMO_START + 30 * DAY

_COLUMNS = (
    "id", "email", "name", "picture", "provider", "provider_id", "password_hash", "role", "permissions",
    "subscription_status", "subscription_expires_at", "stripe_customer_id", "stripe_subscription_id", "bio",
    "timezone", "preferred_language", "last_login", "login_count", "is_active", "email_verified",
    "created_at", "updated_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class People:
    """What the activity needs to know of each user."""

    joined: Ints
    keenness: Floats
    ability: Floats
    home_exam: Ints
    other_exam: Ints


def make_people(size: Size, *, seed: int) -> People:
    """Users in order of joining; a few are very keen and most are not, as on the real platform."""
    rng = stream(seed, "people")
    joined = np.sort(rng.integers(OPENING, DEMO_NOW - 2 * DAY, size=size.users))
    joined[:STAFF] = DEMO_START
    popularity = 1.0 / np.arange(1, size.exams + 1) ** 0.6
    exams = rng.choice(size.exams, size=(2, size.users), p=popularity / popularity.sum())
    return People(
        joined=joined,
        # Who joined lately has had less time to study.
        keenness=rng.lognormal(0.0, 1.3, size.users) * (DEMO_NOW - joined + 5 * DAY),
        ability=rng.normal(0.6, 0.7, size.users),
        home_exam=exams[0],
        other_exam=exams[1],
    )


def users_table(people: People, *, last_login: Ints, logins: Ints, seed: int) -> Table:
    """The table `users`; `last_login` is 0 for who never came back."""
    draws = dice(stream(seed, "users"), len(people.joined), 8)

    def columns_of(part: slice) -> Sequence[Sequence[Any]]:
        draw, ids = draws[part], span(part, first=1)
        seen = last_login[part]
        changed = np.maximum(seen, people.joined[part])
        by_mail, plan = draw[:, 1] % 4 == 0, _plans(draw[:, 2])
        paid = np.array([name != "free" for name in plan])
        names = [person(value) for value in draw[:, 0].tolist()]
        return (
            ids,
            [f"{latin}{i}@{DOMAINS[i * 7 % len(DOMAINS)]}" for i, (_, latin) in zip(ids, names, strict=True)],
            [name for name, _ in names],
            [None if value % 3 else f"https://img.example.com/u/{value % 10**9}.png" for value in draw[:, 3]],
            ["email" if mail else "google" for mail in by_mail],
            [
                None if mail else str(10**20 + value * 997)
                for mail, value in zip(by_mail, draw[:, 4].tolist(), strict=True)
            ],
            [_hash(value) if mail else None for mail, value in zip(by_mail, draw[:, 4].tolist(), strict=True)],
            [_role(i) for i in ids],
            [_permissions(i) for i in ids],
            plan,
            optional(DEMO_NOW + draw[:, 5] % (300 * DAY), paid),
            [f"cus_{value:014x}" if has else None for has, value in zip(paid, draw[:, 5].tolist(), strict=True)],
            [f"sub_{value:014x}" if has else None for has, value in zip(paid, draw[:, 6].tolist(), strict=True)],
            [None if value % 4 else BIOS[value // 4 % len(BIOS)] for value in draw[:, 7].tolist()],
            picked(TIMEZONES, draw[:, 6]),
            picked(LANGUAGES, draw[:, 7] // 64),
            optional(seen, seen > 0),
            logins[part].tolist(),
            (draw[:, 6] // 64 % 50 != 0).astype(int).tolist(),
            (draw[:, 5] // 64 % 10 != 0).astype(int).tolist(),
            people.joined[part].tolist(),
            changed.tolist(),
        )

    return Table(name="users", rows=len(people.joined), columns=_COLUMNS, columns_of=columns_of)


def _plans(draws: Ints) -> list[str]:
    return ["enterprise" if d < 3 else "premium" if d < 20 else "free" for d in (draws % 100).tolist()]


def _hash(draw: int) -> str:
    # The form of a bcrypt hash; no password belongs to it.
    return "$2b$12$" + hashlib.sha256(str(draw).encode()).hexdigest()[:53]


def _role(user_id: int) -> str:
    return "admin" if user_id == 1 else "moderator" if user_id <= STAFF else "user"


def _permissions(user_id: int) -> str:
    if user_id == 1:
        return '["users:write", "questions:write", "metrics:read"]'
    return '["questions:review"]' if user_id <= STAFF else "[]"
