"""A badge of a run: its verdict and its day as a small picture, and as JSON for services that draw badges."""

from __future__ import annotations

import json
from html import escape

from ptp.evidence import Evidence
from ptp.report.gates import NO_VERDICT, STATES, State, gates_of, headline
from ptp.report.words import clean

LABEL = "migration"

_COLOURS = {
    "pass": "1a7f37",
    "fail": "b42318",
    "invalid": "7a1f6b",
    "inconclusive": "8a5a00",
    "none": "57606a",
}
"""Under white text, each with a contrast of more than 4.5 to 1."""
_DARK = "3d444d"
_HEIGHT, _PAD, _WIDTH = 20, 7, 6.6  # pixels: of the badge, beside a text, of a character


def badge_svg(evidence: Evidence) -> str:
    """The badge as SVG with a text alternative; it needs no network, and the same evidence gives the same text."""
    state, told = _told(evidence)
    left, right = (round(len(text) * _WIDTH) + 2 * _PAD for text in (LABEL, told))
    said = escape(f"{LABEL}: {told}")
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{width - 2 * _PAD}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
        for x, width, text in ((_PAD, left, LABEL), (left + _PAD, right, told))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{_HEIGHT}" role="img"'
        f' aria-label="{said}"><title>{said}</title>'
        f'<path d="M3 0H{left}V{_HEIGHT}H3Q0 {_HEIGHT} 0 {_HEIGHT - 3}V3Q0 0 3 0Z" fill="#{_DARK}"/>'
        f'<path d="M{left} 0h{right - 3}q3 0 3 3v{_HEIGHT - 6}q0 3-3 3H{left}Z" fill="#{_COLOURS[state.style]}"/>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g></svg>\n'
    )


def badge_json(evidence: Evidence) -> str:
    """The badge as a service that draws badges wants it from an endpoint."""
    state, told = _told(evidence)
    document = {"schemaVersion": 1, "label": LABEL, "message": told, "color": _COLOURS[state.style]}
    return json.dumps(document, ensure_ascii=False) + "\n"


def _told(evidence: Evidence) -> tuple[State, str]:
    """The verdict, and what stands on the badge: its sign and word, for who sees no colour, and the day."""
    state = headline(evidence, gates_of(evidence)).state
    word = "no verdict" if state is NO_VERDICT else state.word.lower()
    day = clean(evidence.run.started[:10])
    return state if state.style in _COLOURS else STATES["invalid"], f"{state.sign} {word}{f' {day}' if day else ''}"
