"""What a source has besides its shape is carried over unchanged where it can be, and always named."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from ptp.errors import UsageError
from ptp.workbench.migrating import plan_of


def extras(case: Any) -> dict[tuple[str, str], str]:
    """Kind and name of everything besides the shape, with the reason why it is not carried."""
    return {(e.kind, e.name): e.reason for e in plan_of(case.source).extras}


def carried(case: Any, *names: tuple[str, str]) -> None:
    """Migrate, and hold that exactly `names` are named, carried, and verified."""
    assert extras(case) == dict.fromkeys(names, "")
    stage = case.migrate()
    assert {(r["kind"], r["name"], r["carried"]) for r in stage.tables["Besides the shape"]} == {
        (kind, name, "yes") for kind, name in names
    }
    assert case.failing() == {}


VOICE = (("table", "voice_profiles"), ("index", "idx_voice_profiles_name"), ("index", "idx_voice_profiles_active"))


def test_a_pure_source_has_nothing_besides(raw: Any) -> None:
    carried_before = extras(raw)
    assert carried_before == {}
    assert "Besides the shape" not in raw.migrate().tables


def test_the_table_that_head_does_not_have_is_carried_row_by_row(drizzle: Any) -> None:
    rows = drizzle.ask_source("SELECT * FROM voice_profiles ORDER BY id")
    assert rows
    carried(drizzle, *VOICE)
    assert drizzle.ask("SELECT * FROM voice_profiles ORDER BY id") == rows
    ddl = "SELECT sql FROM sqlite_schema WHERE name = 'voice_profiles'"
    assert drizzle.ask(ddl) == drizzle.ask_source(ddl)


def test_the_tables_of_other_tools_are_carried(raw: Any) -> None:
    raw.edit(
        "CREATE TABLE __drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric)",
        "INSERT INTO __drizzle_migrations VALUES (NULL, 'abc', 1740823200000), (NULL, 'def', 1740823200001)",
        "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)",
        "CREATE TABLE _litestream_lock (id INTEGER)",
        "INSERT INTO _litestream_seq VALUES (1, 42)",
    )
    carried(raw, ("table", "__drizzle_migrations"), ("table", "_litestream_seq"), ("table", "_litestream_lock"))
    assert raw.ask("SELECT rowid, * FROM __drizzle_migrations") == [
        (1, None, "abc", 1740823200000),
        (2, None, "def", 1740823200001),
    ]
    assert raw.ask("SELECT * FROM _litestream_seq") == [(1, 42)]


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TABLE bag (a)",
        "CREATE TABLE bag (a TEXT PRIMARY KEY)",
        "CREATE TABLE bag (a, oid TEXT)",
        "CREATE TABLE bag (a, _rowid_ TEXT)",
    ],
)
def test_a_table_without_an_integer_key_keeps_its_rowids(raw: Any, ddl: str) -> None:
    raw.edit(
        ddl,
        "INSERT INTO bag (rowid, a) VALUES (5, 'x'), (7, NULL), (9, NULL), (-3, X'00'), (1000000, 1.5)",
        "DELETE FROM bag WHERE rowid = 7",
    )
    rows = raw.ask_source("SELECT rowid, * FROM bag ORDER BY rowid")
    carried(raw, ("table", "bag"))
    assert raw.ask("SELECT rowid, * FROM bag ORDER BY rowid") == rows


def test_a_table_with_a_column_named_rowid_is_carried(raw: Any) -> None:
    raw.edit(
        "CREATE TABLE bag (rowid TEXT, a)",
        "INSERT INTO bag (_rowid_, rowid, a) VALUES (5, 'same', 1), (7, 'same', 2), (9, NULL, 3)",
    )
    carried(raw, ("table", "bag"))
    assert raw.ask("SELECT rowid, a FROM bag ORDER BY a") == [("same", 1), ("same", 2), (None, 3)]


def test_every_class_of_value_in_a_carried_table_stays_as_it_is(raw: Any) -> None:
    raw.edit("CREATE TABLE bag (n NUMERIC, t TEXT, b, r REAL)")
    raw.edit(
        "INSERT INTO bag VALUES (9007199254740993, CAST(X'61FF62' AS TEXT), 'it''s' || char(0) || 'x', -0.0), "
        "(1.5, '007', X'00FF', 7), ('x', '', 1, 9e999), (NULL, NULL, NULL, NULL)"
    )
    look = "SELECT rowid, typeof(n), n, typeof(t), hex(t), typeof(b), hex(b), typeof(r), format('%!.17g', r) FROM bag"
    before = raw.ask_source(look)
    carried(raw, ("table", "bag"))
    assert raw.ask(look) == before


def test_a_carried_table_keeps_its_rules_keys_and_generated_columns(raw: Any) -> None:
    raw.edit(
        "CREATE TABLE bag (a INT, b TEXT COLLATE NOCASE UNIQUE ON CONFLICT IGNORE, c AS (a + 1) STORED, "
        "user_id INT REFERENCES users (id), CHECK (a > 0), PRIMARY KEY (a, b)) WITHOUT ROWID",
        "INSERT INTO bag (a, b, user_id) VALUES (1, 'x', 1), (-1, 'y', 1)",  # the second breaks the rule already
    )
    carried(raw, ("table", "bag"))
    assert raw.ask("SELECT a, b, c FROM bag ORDER BY a") == [(-1, "y", 0), (1, "x", 2)]
    with closing(sqlite3.connect(raw.target)) as db, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        db.execute("INSERT INTO bag (a, b) VALUES (-2, 'z')")


def test_a_table_whose_name_begins_like_those_of_ptp_is_carried(raw: Any) -> None:
    raw.edit("CREATE TABLE ptp_settings (id INTEGER PRIMARY KEY, a)", "INSERT INTO ptp_settings VALUES (1, 'x')")
    carried(raw, ("table", "ptp_settings"))
    assert raw.ask("SELECT * FROM ptp_settings") == [(1, "x")]


def test_a_broken_reference_of_a_carried_table_is_known_not_new(raw: Any) -> None:
    raw.edit(
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, user_id INT REFERENCES users (id))",
        "INSERT INTO bag VALUES (1, 999999)",
    )
    carried(raw, ("table", "bag"))


def test_extra_columns_are_carried_with_their_values_and_plain_defaults(case: Any) -> None:
    case.edit(
        "ALTER TABLE users ADD COLUMN nick TEXT DEFAULT 'it''s'",
        'ALTER TABLE users ADD COLUMN "odd "" name" NUMERIC',
        'UPDATE users SET nick = CAST(X\'FF00\' AS TEXT), "odd "" name" = 1.5 WHERE id = 1',
        'UPDATE users SET nick = NULL, "odd "" name" = X\'07\' WHERE id = 2',
    )
    look = 'SELECT id, typeof(nick), hex(nick), typeof("odd "" name"), "odd "" name" FROM users ORDER BY id'
    before = case.ask_source(look)
    voice = VOICE if case.shape == "drizzle" else ()
    carried(case, ("column", "users.nick"), ("column", 'users.odd " name'), *voice)
    assert case.ask(look) == before
    with closing(sqlite3.connect(case.target)) as db:
        db.execute("INSERT INTO users (email, name) VALUES ('new@x', 'n')")
        assert db.execute("SELECT nick FROM users WHERE email = 'new@x'").fetchone() == ("it's",)


def test_extra_indexes_views_and_triggers_on_carried_tables_are_carried(raw: Any) -> None:
    raw.edit(
        "CREATE TABLE bag (id INTEGER PRIMARY KEY, a)",
        "CREATE TABLE log (a)",
        "INSERT INTO bag VALUES (1, 'x')",
        "ALTER TABLE users ADD COLUMN more",
        "CREATE INDEX bag_a ON bag (a DESC) WHERE a > 0",
        "CREATE INDEX users_more ON users (more)",
        "CREATE UNIQUE INDEX users_low ON users (lower(email))",
        "CREATE VIEW admins AS SELECT id, email FROM users WHERE role = 'admin'",
        "CREATE VIEW two AS SELECT * FROM admins",
        "CREATE TRIGGER bag_log AFTER INSERT ON bag BEGIN INSERT INTO log VALUES (new.a); END",
        "CREATE TRIGGER admins_add INSTEAD OF INSERT ON admins BEGIN INSERT INTO log VALUES (new.email); END",
    )
    carried(
        raw,
        ("table", "bag"),
        ("table", "log"),
        ("column", "users.more"),
        ("index", "bag_a"),
        ("index", "users_more"),
        ("index", "users_low"),
        ("view", "admins"),
        ("view", "two"),
        ("trigger", "bag_log"),
        ("trigger", "admins_add"),
    )
    assert raw.ask("SELECT * FROM log") == []  # no trigger ran while rows were copied
    with closing(sqlite3.connect(raw.target)) as db:
        db.execute("INSERT INTO bag VALUES (2, 'y')")
        db.execute("INSERT INTO admins VALUES (1, 'z')")
        assert db.execute("SELECT a FROM log").fetchall() == [("y",), ("z",)]
        assert db.execute("SELECT * FROM two").fetchall() == raw.ask_source("SELECT * FROM two")


def not_carried(case: Any, kind: str, name: str, reason: str) -> None:
    """Hold that one thing is named with its reason, is absent, and breaks nothing."""
    assert reason in extras(case)[kind, name]
    stage = case.migrate()
    (row,) = (r for r in stage.tables["Besides the shape"] if (r["kind"], r["name"]) == (kind, name))
    assert (row["carried"], reason in row["reason"]) == ("no", True)
    assert case.ask("SELECT 1 FROM sqlite_schema WHERE name = ?", name) == []
    assert case.failing() == {}


def test_a_trigger_on_a_converted_table_is_named_not_carried(raw: Any) -> None:
    raw.edit("CREATE TRIGGER touch AFTER UPDATE ON users BEGIN UPDATE users SET bio = 'x'; END")
    not_carried(raw, "trigger", "touch", "it stands on users, whose values are converted")


def test_a_virtual_table_and_its_parts_are_named_not_carried(raw: Any) -> None:
    raw.edit("CREATE VIRTUAL TABLE words USING fts5(body)", "INSERT INTO words VALUES ('hello')")
    found = extras(raw)
    parts = {n for (n,) in raw.ask_source("SELECT name FROM sqlite_schema WHERE name LIKE 'words%'")}
    assert {name for _, name in found} == parts
    assert len(parts) > 3
    assert all("virtual table" in reason for reason in found.values())
    not_carried(raw, "table", "words", "virtual table")


def test_a_virtual_table_of_a_module_that_is_not_loaded_is_named_not_carried(raw: Any) -> None:
    with closing(sqlite3.connect(raw.source, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(
            "INSERT INTO sqlite_schema VALUES ('table', 'vectors', 'vectors', 0, "
            "'CREATE VIRTUAL TABLE vectors USING nosuchmodule(a)')"
        )
    not_carried(raw, "table", "vectors", "virtual table")


def test_a_generated_column_is_named_not_carried(raw: Any) -> None:
    raw.edit("ALTER TABLE users ADD COLUMN shout AS (upper(name))")
    not_carried(raw, "column", "users.shout", "a generated column")


def test_what_does_not_work_in_the_target_is_named_with_sqlites_reason(raw: Any) -> None:
    raw.edit(
        "ALTER TABLE users ADD COLUMN shout AS (upper(name))",
        "CREATE INDEX users_shout ON users (shout)",
        "CREATE INDEX idx_answers_user_time ON user_answers (confidence_level)",  # a name that the target gives
    )
    found = extras(raw)
    assert (
        "no column named shout" in found["index", "users_shout"].lower()
        or "no such column" in found["index", "users_shout"]
    )
    assert "already exists" in found["index", "idx_answers_user_time"]
    raw.migrate()
    assert raw.failing() == {}


@pytest.mark.parametrize("name", ["tweets", "Tweets", "audit_log", "idx_answers_question", "ptp_quarantine"])
def test_a_table_with_a_name_that_the_target_gives_to_another_is_refused(raw: Any, name: str) -> None:
    raw.edit(f"CREATE TABLE {name} (a)")
    before = raw.source.read_bytes()
    with pytest.raises(UsageError, match=f"has a table {name} that its shape 'raw' does not know"):
        raw.migrate()
    assert raw.files() == {"source.db"}
    assert raw.source.read_bytes() == before


def test_ids_of_deleted_rows_are_never_used_again(case: Any) -> None:
    case.edit(
        "CREATE TABLE bag (id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
        "INSERT INTO bag VALUES (100, 'x')",
        "DELETE FROM bag",
        "INSERT INTO users (id, email, name) VALUES (100000, 'gone@x', 'gone')",
        "DELETE FROM users WHERE id = 100000",
        "DELETE FROM user_progress",
    )
    (progress,) = case.ask_source("SELECT seq FROM sqlite_sequence WHERE name = 'user_progress'")
    case.migrate()
    with closing(sqlite3.connect(case.target)) as db:
        assert db.execute("INSERT INTO bag (a) VALUES (1) RETURNING id").fetchone()[0] > 100
        assert db.execute("INSERT INTO users (email, name) VALUES ('a', 'b') RETURNING id").fetchone()[0] > 100_000
        assert (
            db.execute("INSERT INTO user_progress (user_id, exam_id) VALUES (1, 1) RETURNING id").fetchone() > progress
        )
    marks = dict(case.ask_source("SELECT name, seq FROM sqlite_sequence"))
    assert marks.items() <= dict(case.ask("SELECT name, seq FROM sqlite_sequence")).items()
    assert case.failing() == {}


def test_a_mark_above_the_highest_id_outlives_quarantine(small: Any) -> None:
    case = small("raw", {})
    case.rewrite("email TEXT NOT NULL", "email TEXT")
    case.edit("INSERT INTO users (id, email, name) VALUES (100, NULL, 'n')")
    case.migrate(on_dirty="quarantine")
    assert case.ask("SELECT count(*) FROM users") == [(0,)]
    with closing(sqlite3.connect(case.target)) as db:
        assert db.execute("INSERT INTO users (email, name) VALUES ('a', 'b') RETURNING id").fetchone() == (101,)
