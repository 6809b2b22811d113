"""Small truths about SQL text: quoting a name, writing a literal, splitting a script into statements."""

from __future__ import annotations

import re
import sqlite3


def quoted(name: str) -> str:
    """`name` as an SQL identifier. The only way in which a name enters SQL text; values are bound."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """`value` as an SQL text literal, for SQL that is shown and hashed before it runs."""
    return "'" + value.replace("'", "''") + "'"


def split_statements(script: str) -> list[str]:
    """The statements of a script in order, without their comments before them and the final semicolon.

    SQLite's own tokenizer decides where a statement ends, so triggers and quoted semicolons stay whole.
    Text after the last semicolon that is more than comments is returned as a statement too.
    """
    found: list[str] = []
    pending = ""
    for piece in script.split(";"):
        pending += piece + ";"
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    if pending.rstrip(";").strip():
        found.append(pending)
    stripped = (_without_leading_comments(s).rstrip().removesuffix(";").rstrip() for s in found)
    return [s for s in stripped if s]


def _without_leading_comments(statement: str) -> str:
    text = statement.lstrip()
    while text.startswith(("--", "/*")):
        end = text.find("\n") if text.startswith("--") else text.find("*/") + 1
        text = text[end + 1 :].lstrip() if end > 0 else ""
    return text


_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\w+|\s+|.""", re.DOTALL)


def index_parts(sql: str) -> tuple[tuple[str, ...], str]:
    """The terms of a CREATE INDEX, without ASC and DESC, and its WHERE condition, empty where there is none."""
    tokens = [t for t in _TOKEN.findall(sql) if not t.startswith(("--", "/*"))]
    depth, terms, term, rest = 0, [], [""], [""]
    for place, token in enumerate(tokens):
        if token == ")":
            depth -= 1
            if depth == 0:
                rest = tokens[place + 1 :]
                break
        if depth == 1 and token == ",":
            terms.append("".join(term))
            term = [""]
        elif depth >= 1:
            term.append(token)
        if token == "(":
            depth += 1
    terms.append("".join(term))
    order = re.compile(r"\s+(ASC|DESC)\s*$", re.IGNORECASE)
    where = re.sub(r"^\s*WHERE\s+", "", "".join(rest), flags=re.IGNORECASE).strip()
    return tuple(order.sub("", t).strip() for t in terms), where
