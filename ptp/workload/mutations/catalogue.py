"""The catalogue: every kind of damage that the verifier is tried with."""

from __future__ import annotations

from functools import partial

from ptp.workload.mutations import books, derived, references, rows, structure, values
from ptp.workload.mutations.kinds import Damage, Kind


def _value(change: values.Change, *kinds: str) -> Damage:
    return partial(values.change_value, kinds=kinds, change=change)


def _line(pattern: str, becomes: str = "") -> Damage:
    return partial(structure.edit_line, pattern=pattern, becomes=becomes)


def _index(edit: structure.Edit) -> Damage:
    return partial(structure.edit_index, edit=edit)


def _drop(kind: str) -> Damage:
    return partial(structure.drop_object, kind=kind)


def _add(sql: str) -> Damage:
    return partial(structure.add_object, sql=sql)


def _derived(table: str, keys: tuple[str, ...], change: str = "") -> Damage:
    return partial(derived.edit_row, table=table, keys=keys, change=change)


_CELL = ("id",)
_NODE = ("exam_id", "node")
_DAY = ("day", "purpose", "model")

_ROWS = (
    Kind("row-lost", "A row is lost", "rows", rows.lose_row),
    Kind("row-last-lost", "The last row of a table is lost", "rows", rows.lose_last_row),
    Kind("row-carried-lost", "A row of a table that was carried over is lost", "rows", rows.lose_carried_row),
    Kind("row-all-lost", "All rows of a small table are lost", "rows", rows.empty_table),
    Kind("row-doubled", "A row is there twice, under a new id", "rows", rows.double_row),
    Kind("row-invented", "A row stands in a table that the source has not", "rows", rows.invent_row),
    Kind("row-moved", "A row has another id", "rows", rows.move_row),
    Kind("row-swapped", "Two rows have each other's ids", "rows", rows.swap_rows),
    Kind("row-users-swapped", "Two users have each other's rows", "rows", rows.swap_users),
)
_VALUES = (
    Kind("value-swapped", "Two rows have each other's value", "values", rows.swap_values),
    Kind("value-carried", "A value of a table that was carried over is another", "values", values.change_carried),
    Kind("value-extra", "A value of a column that was carried over is another", "values", values.change_extra),
    Kind("text-byte", "One letter is another", "values", _value(values.one_byte, "text")),
    Kind("text-case", "Upper and lower case are exchanged", "values", _value(values.other_case, "text")),
    Kind("text-space-behind", "A space stands at the end", "values", _value(values.space_behind, "text")),
    Kind("text-space-before", "A space stands at the beginning", "values", _value(values.space_before, "text")),
    Kind("text-nul", "A NUL stands at the end", "values", _value(values.nul_behind, "text")),
    Kind("text-cut", "The last character is lost", "values", _value(values.cut_off, "text")),
    Kind("text-not-utf8", "A byte stands at the end that is not UTF-8", "values", _value(values.not_utf8, "text")),
    Kind("text-look-alike", "Letters are of another alphabet", "values", _value(values.look_alike, "text")),
    Kind("text-normal-form", "Accents are in another normal form", "values", _value(values.normal_form, "text")),
    Kind("text-as-blob", "A text is a blob", "values", _value(values.as_blob, "text", "json")),
    Kind("null-to-empty", "NULL is an empty text", "values", _value(values.empty_for_null, "text")),
    Kind("null-to-value", "NULL is 0, a text or a list", "values",
         _value(values.value_for_null, "time", "boolean", "json", "integer", "real", "date")),
    Kind("value-to-null", "A value is NULL", "values",
         _value(values.null_for_value, "time", "boolean", "json", "integer", "real", "text", "date")),
    Kind("number-sign", "A number has the other sign", "values", _value(values.other_sign, "integer", "real")),
    Kind("number-one-more", "A number is one more", "values", _value(values.one_more, "integer", "real")),
    Kind("integer-as-text", "An integer is text", "values", _value(values.as_text, "integer", "time", "boolean")),
    Kind("integer-as-real", "An integer is REAL", "values", _value(values.as_real, "integer", "time", "boolean")),
    Kind("real-as-text", "A REAL is text", "values", _value(values.as_text, "real")),
    Kind("real-last-bit", "A REAL differs in its last bit", "values", _value(values.last_bit, "real")),
    Kind("real-rounded", "A REAL is rounded to two digits", "values", _value(values.fewer_digits, "real")),
    Kind("time-second", "A time is a second later", "values", _value(values.one_more, "time")),
    Kind("time-zone", "A time is an hour later", "values", _value(values.hour_more, "time")),
    Kind("time-milliseconds", "A time is in milliseconds", "values", _value(values.in_milliseconds, "time")),
    Kind("date-day", "A date is a day later", "values", _value(values.next_day, "date")),
    Kind("boolean-flipped", "A boolean is the other", "values", _value(values.flipped, "boolean")),
    Kind("choice-other", "A text is another that the column may hold", "values", _value(values.other_choice, "text")),
    Kind("json-space", "JSON has other white space", "values", _value(values.json_space, "json")),
    Kind("json-order", "JSON has another order", "values", _value(values.json_order, "json")),
    Kind("json-content", "JSON has a member more", "values", _value(values.json_content, "json")),
)  # fmt: skip
_REFERENCES = (
    Kind("parent-other", "A reference is to another row", "references", references.other_parent),
    Kind("parent-missing", "A reference is to no row", "references", references.missing_parent),
    Kind("parent-none", "A reference is NULL", "references", references.no_parent),
    Kind("parent-lost", "A row that others refer to is lost", "references", references.lose_parent),
    Kind("parent-cascade", "A row is lost with all that hung on it", "references", references.cascade),
)
_SCHEMA = (
    Kind("check-dropped", "A table has lost a CHECK rule", "schema",
         _line(r",\n  CONSTRAINT ck_\w+ CHECK [^\n]*?(?=,?\n)")),
    Kind("check-changed", "A CHECK rule takes less", "schema", _line(r"BETWEEN 0 AND", "BETWEEN 1 AND")),
    Kind("not-null-dropped", "A column has lost NOT NULL", "schema",
         _line(r"^(  \w+ (?:TEXT|INTEGER)) NOT NULL,", r"\1,")),
    Kind("strict-dropped", "A table is not STRICT", "schema", _line(r"\) STRICT$", ")")),
    Kind("default-changed", "A column has another DEFAULT", "schema", _line(r"DEFAULT 0,", "DEFAULT 1,")),
    Kind("type-changed", "A column has another type", "schema", _line(r"^(  \w+) INTEGER,", r"\1 REAL,")),
    Kind("collation-added", "A column has a collation", "schema", _line(r"^(  \w+ TEXT),", r"\1 COLLATE NOCASE,")),
    Kind("key-action", "A foreign key has another action", "schema", _line(r"ON DELETE CASCADE", "ON DELETE SET NULL")),
    Kind("key-dropped", "A table has lost a foreign key", "schema", _line(r",\n  FOREIGN KEY[^\n]*?(?=,?\n)")),
    Kind("autoincrement-dropped", "A table has lost AUTOINCREMENT", "schema", _line(r" AUTOINCREMENT")),
    Kind("column-added", "A table has a column more", "schema", structure.add_column),
    Kind("column-renamed", "A column has another name", "schema", structure.rename_column),
    Kind("column-dropped", "A column is lost", "schema", structure.drop_column),
    Kind("table-dropped", "A table is lost", "schema", structure.drop_table),
    Kind("table-added", "There is a table more", "schema", _add("CREATE TABLE added (id INTEGER PRIMARY KEY)")),
    Kind("view-added", "There is a view more", "schema", _add("CREATE VIEW added AS SELECT {column} FROM {table}")),
    Kind("view-dropped", "A view that was carried over is lost", "schema", _drop("view")),
    Kind("index-added", "There is an index more", "schema", _add("CREATE INDEX added ON {table} ({column})")),
    Kind("index-dropped", "An index is lost", "schema", _drop("index")),
    Kind("index-not-unique", "An index is not unique", "schema", _index(structure.unique)),
    Kind("index-no-where", "An index has lost its WHERE", "schema", _index(structure.where)),
    Kind("index-where", "An index has another WHERE", "schema", _index(structure.narrower)),
    Kind("index-ascending", "An index has lost a DESC", "schema", _index(structure.ascending)),
    Kind("index-descending", "An index has a DESC more", "schema", _index(structure.descending)),
    Kind("index-order", "An index has its columns in another order", "schema", _index(structure.other_order)),
    Kind("index-wider", "An index has a column more", "schema", _index(structure.wider)),
    Kind("index-collation", "An index has a collation", "schema", _index(structure.collated)),
    Kind("trigger-dropped", "A trigger is lost", "schema", _drop("trigger")),
    Kind("trigger-changed", "A trigger does something else", "schema", structure.edit_trigger),
    Kind("trigger-added", "There is a trigger more", "schema",
         _add("CREATE TRIGGER added AFTER UPDATE OF {column} ON {table} BEGIN SELECT 1; END")),
    Kind("own-changed", "The schema of ptp's own tables is another", "schema", structure.edit_own),
    Kind("mark-lowered", "The mark of ids given out is lower", "schema", structure.lower_mark),
    Kind("mark-lost", "The mark of ids given out is lost", "schema", structure.lose_mark),
)  # fmt: skip
_DERIVED = (
    Kind("pool-slot-lost", "A question is lost from the pool", "derived", _derived("question_pool", ("slot",))),
    Kind("pool-slot-moved", "A slot of the pool leaves a gap", "derived",
         _derived("question_pool", ("slot",), "slot = slot + 100000")),
    Kind("pool-slots-swapped", "Two questions of the pool are in each other's cell", "derived", derived.swap_slots),
    Kind("pool-admitted", "A question is in the pool that may not be drawn", "derived", derived.admit),
    Kind("pool-size", "A cell of the pool has another size", "derived",
         _derived("question_cells", _CELL, "size = size + 1")),
    Kind("pool-cell-added", "There is a cell of the pool that is empty", "derived", derived.add_cell),
    Kind("leaderboard-users", "A node of the leaderboard counts another number", "derived",
         _derived("leaderboard_nodes", _NODE, "users = users + 1")),
    Kind("leaderboard-node-lost", "A node of the leaderboard is lost", "derived", _derived("leaderboard_nodes", _NODE)),
    Kind("leaderboard-node-added", "There is a node of the leaderboard that is empty", "derived", derived.add_node),
    Kind("ai-calls", "A day has another number of AI calls", "derived",
         _derived("ai_cost_days", _DAY, "calls = calls + 1")),
    Kind("ai-cost", "A day has another cost of AI calls", "derived",
         _derived("ai_cost_days", _DAY, "cost_cents = cost_cents + 0.01")),
    Kind("ai-day-lost", "A day of AI calls is lost", "derived", _derived("ai_cost_days", _DAY)),
    Kind("mean-wrong", "A question's total of seconds disagrees with its mean", "derived", derived.wrong_mean),
    Kind("total-invented", "A question has a total of seconds, which no source has", "derived", derived.invent_total),
    Kind("search-lost", "A question is lost from the full-text index", "derived", derived.lose_words),
    Kind("search-added", "A question is in the full-text index that there is not", "derived", derived.add_words),
    Kind("search-words", "A question is in the full-text index under other words", "derived", derived.other_words),
    Kind("index-entries-lost", "An index misses the rows of its table", "derived", derived.lose_index_entries),
)  # fmt: skip
_BOOKS = (
    Kind("journal-step-lost", "A step is lost from the journal", "journal", books.lose_step),
    Kind("journal-phase-lost", "A phase is lost from the journal", "journal", books.lose_phase),
    Kind("journal-step-added", "A step is in the journal that there is not", "journal", books.add_step),
    Kind("journal-step-renamed", "A step has another name", "journal", books.rename_step),
    Kind("journal-left-out", "A step is said to be left out that was not", "journal", books.leave_out),
    Kind("journal-checksum", "A step has another checksum", "journal", partial(books.edit_hash, column="checksum")),
    Kind("journal-chain", "A step has another link in the chain", "journal", partial(books.edit_hash, column="chain")),
    Kind("quarantine-lost", "An entry is lost from quarantine", "quarantine", books.lose_entry),
    Kind("quarantine-row-lost", "A row that was kept whole is lost from quarantine", "quarantine", books.lose_kept_row),
    Kind("quarantine-original", "An original in quarantine is another", "quarantine", books.edit_original),
    Kind("quarantine-placeholder", "A placeholder in quarantine is another", "quarantine", books.edit_placeholder),
    Kind("quarantine-reason", "A reason in quarantine is another", "quarantine", books.edit_reason),
    Kind("quarantine-outcome", "An entry says rounded for rejected, or the reverse", "quarantine", books.edit_outcome),
    Kind("quarantine-key", "An entry of the quarantine names another row", "quarantine", books.edit_key),
    Kind("quarantine-column", "An entry of the quarantine names another column", "quarantine", books.edit_column),
    Kind("quarantine-invented", "An entry is in quarantine for a value that is exact", "quarantine",
         partial(books.invent_entry, table="users")),
    Kind("quarantine-stranger", "An entry is in quarantine for a table that there is not", "quarantine",
         partial(books.invent_entry, table="ghosts")),
)  # fmt: skip

CATALOGUE: tuple[Kind, ...] = (*_ROWS, *_VALUES, *_REFERENCES, *_SCHEMA, *_DERIVED, *_BOOKS)
"""All kinds, by group."""
