"""Write sql/schema.sql: the schema at head, as the steps in sql/ build it. Held by tests/schema/test_head.py."""

from ptp.migration.steps import load_steps
from ptp.resources import folder

HEADER = "-- The schema at head. Generated from the steps by tools/write_schema.py: do not edit.\n\n"


def schema_text() -> str:
    statements = [sql for step in load_steps(folder("sql")) for sql in step.up]
    return HEADER + "".join(f"{sql};\n\n" for sql in statements).rstrip("\n") + "\n"


if __name__ == "__main__":
    (folder("sql") / "schema.sql").write_text(schema_text(), encoding="utf-8")
