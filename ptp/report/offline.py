"""HTML from elsewhere made fit for an offline page: nothing in it runs or loads, and every image has a text."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from html.parser import HTMLParser

from ptp.report.words import clean

LONGEST_TEXT = 40_000
"""One piece of text of a notebook's output is shown in at most this many characters."""

NO_TEXT = "Picture without a description"

_DROPPED = frozenset({"script", "iframe", "object", "noscript", "template", "form", "title"})
_DROPPED_VOID = frozenset({"link", "meta", "base", "embed", "input"})
_LOADS = frozenset({"src", "srcset", "poster", "background", "data", "formaction", "ping", "xlink:href"})
_REMOTE = re.compile(r"url\s*\(|@import|expression\s*\(", re.IGNORECASE)
_LINK = re.compile(r"(?:https?:|mailto:)|(?!//)[^:]*(?:[/#?].*)?$", re.IGNORECASE | re.DOTALL)
_INLINE = re.compile(r"\s*data:image/(?:png|jpeg|gif|webp|svg\+xml)[;,]", re.IGNORECASE)


def offline(text: str) -> str:
    """The HTML without scripts, frames and anything a browser would fetch; images get `alt`, table heads `scope`."""
    writer = _Writer()
    writer.feed(text)
    writer.close()
    # A frame's corner heads nothing.
    return re.sub(r"<th\b[^>]*>\s*</th>", "<td></td>", "".join(writer.parts))


class _Writer(HTMLParser):
    """Writes what it reads, but for what must not stay."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._dropped: list[str] = []
        self._in_head = False
        self._style: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write the tag with the attributes that may stay."""
        if self._dropped or tag in _DROPPED:
            self._dropped += [tag] if tag in _DROPPED else []
            return
        if tag in _DROPPED_VOID:
            return
        self._in_head = self._in_head or tag == "thead"
        if tag == "style":
            self._style = []
        kept = [(name, value) for name, value in attrs if _may_stay(tag, name, value or "")]
        self.parts.append(f"<{tag}{_written(kept + self._added(tag, kept))}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Write a tag that closes itself, such as a shape in SVG."""
        if not self._dropped and tag not in _DROPPED | _DROPPED_VOID:
            kept = [(name, value) for name, value in attrs if _may_stay(tag, name, value or "")]
            self.parts.append(f"<{tag}{_written(kept + self._added(tag, kept))}/>")

    def handle_endtag(self, tag: str) -> None:
        """Write the end of a tag, and of what was dropped nothing."""
        if self._dropped:
            if tag == self._dropped[-1]:
                self._dropped.pop()
            return
        if tag in _DROPPED | _DROPPED_VOID:
            return
        if tag == "style" and self._style is not None:
            rules = "".join(self._style)
            self.parts.append("" if _REMOTE.search(rules) else rules)
            self._style = None
        self._in_head = self._in_head and tag != "thead"
        self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Write text, with what cannot be seen in it made visible."""
        if self._dropped:
            return
        if self._style is not None:
            self._style.append(data)
        else:
            self.parts.append(clean(data, longest=LONGEST_TEXT).replace("<", "&lt;"))

    def handle_entityref(self, name: str) -> None:
        """Write a named character as it came."""
        if not self._dropped:
            self.parts.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Write a numbered character as text does."""
        if not self._dropped:
            self.parts.append(html.escape(clean(html.unescape(f"&#{name};")), quote=False))

    def _added(self, tag: str, kept: Sequence[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
        given = dict(kept)
        if tag == "img" and not (given.get("alt") or "").strip():
            return [("alt", NO_TEXT)]
        if tag == "th" and "scope" not in given:
            return [("scope", "col" if self._in_head else "row")]
        return []


def _may_stay(tag: str, name: str, value: str) -> bool:
    if name.startswith("on") or (name == "alt" and not value.strip()):
        return False
    if name in _LOADS:
        return tag == "img" and name == "src" and _INLINE.match(value) is not None
    if name == "href":
        return (tag == "a" and _LINK.match(value.strip()) is not None) or value.startswith("#")
    return not (name == "style" and _REMOTE.search(value))


def _written(attrs: Sequence[tuple[str, str | None]]) -> str:
    return "".join(
        f" {name}" if value is None else f' {name}="{html.escape(_attribute(name, value))}"' for name, value in attrs
    )


def _attribute(name: str, value: str) -> str:
    return value if name == "src" else clean(value, longest=LONGEST_TEXT)
