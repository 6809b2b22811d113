"""The templates of this package, filled: every text that is not markup is cleaned and escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ptp.report.words import clean

TEMPLATES = Path(__file__).parent / "templates"


def page_from(template: str, **values: object) -> str:
    """A template of this package, filled, with the style and the script that all pages share."""
    style, script = _read("style.css"), _read("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    shared = {"style": Markup(style), "script": Markup(script), "script_hash": Markup(f"sha256-{digest}")}
    return _environment().get_template(template).render(**shared, **values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _read(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _finalize(value: object) -> object:
    # Markup was made by this package and is whole; anything else may come from data.
    return value if isinstance(value, Markup) else clean(str(value))
