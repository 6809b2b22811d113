"""Conversions: declared once, written twice: in SQL to migrate, in Python to witness."""

from ptp.conversions.declarations import (
    LAST_SECOND,
    Choice,
    ColumnMap,
    Conversion,
    Kind,
    Outcome,
    Rule,
    Shape,
    Span,
    TableMap,
    Value,
)

__all__ = [
    "LAST_SECOND",
    "Choice",
    "ColumnMap",
    "Conversion",
    "Kind",
    "Outcome",
    "Rule",
    "Shape",
    "Span",
    "TableMap",
    "Value",
]
