import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from ptp.errors import UsageError
from ptp.report.charts import counts
from ptp.report.notebook import write_notebook_html

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ACTIVE = (
    '<script src="https://cdn.example/x.js"></script><img src="https://example.org/a.png" onerror="go()">'
    "<iframe src='//example.org'></iframe><style>@import url(https://example.org/a.css)</style>"
    '<a href="javascript:go()">link</a><p style="background:url(https://example.org)">told \u202e</p>'
)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def notebook(folder: Path, *outputs: nbformat.NotebookNode, tags: tuple[str, ...] = ()) -> Path:
    cell = v4.new_code_cell("x = 1 < 2", execution_count=7, outputs=list(outputs), metadata={"tags": list(tags)})
    document = v4.new_notebook(cells=[v4.new_markdown_cell("# The `title`\n\nSome *words*."), cell])
    path = folder / "03_benchmark.ipynb"
    path.write_text(nbformat.writes(document), encoding="utf-8")
    return path


def shown(folder: Path, *outputs: nbformat.NotebookNode, tags: tuple[str, ...] = ()) -> str:
    return write_notebook_html(notebook(folder, *outputs, tags=tags)).read_text(encoding="utf-8")


def html_output(text: str) -> nbformat.NotebookNode:
    return v4.new_output("display_data", data={"text/html": text, "text/plain": "plain"})


def test_a_notebook_becomes_a_page_beside_it_that_leads_back_to_the_report(tmp_path: Path):
    page = shown(tmp_path, v4.new_output("stream", name="stdout", text="hello <b>"))
    assert (tmp_path / "03_benchmark.html").is_file()
    assert "<title>The title</title>" in page and "<em>words</em>" in page
    assert 'href="../index.html"' in page and "hello &lt;b&gt;" in page


def test_code_is_folded_but_for_the_parameters(tmp_path: Path):
    assert '<details class="code"><summary>Code [7]</summary>' in shown(tmp_path)
    page = shown(tmp_path, tags=("injected-parameters",))
    assert re.search(r'<details class="code" open[^>]*><summary>Code \[7\], parameters of this run', page)


def test_an_error_is_visible_and_named_in_the_first_line(tmp_path: Path):
    error = v4.new_output(
        "error", ename="ValueError", evalue="bad <x>", traceback=["\x1b[31mValueError\x1b[0m: bad <x>"]
    )
    page = shown(tmp_path, error)
    assert "<title>Stopped by an error: The title</title>" in page
    assert "This notebook stopped with an error" in page
    assert "ValueError: bad &lt;x&gt;</p>" in page
    assert "\x1b" not in page


def test_every_picture_has_a_text(tmp_path: Path):
    svg = '<svg xmlns="http://www.w3.org/2000/svg"/>'
    page = shown(
        tmp_path,
        v4.new_output("display_data", data={"image/png": PIXEL, "text/plain": "<Figure size 1x1>"}),
        v4.new_output("display_data", data={"image/png": PIXEL, "text/plain": "Rows by table"}),
        v4.new_output("display_data", data={"image/svg+xml": svg}),
        html_output(counts({"a": 2}, what="rows")._repr_html_()),
        html_output(f'<img src="data:image/png;base64,{PIXEL}">'),
    )
    texts = [attrs.get("alt") for tag, attrs in Tags(page).found if tag == "img"]
    assert texts[:4] == ["Picture made by cell 7", "Rows by table", "Picture made by cell 7", "rows, 1 name. a: 2."]
    assert len(texts) == 5 and texts[4]


def test_nothing_runs_and_nothing_is_fetched(tmp_path: Path):
    javascript = v4.new_output("display_data", data={"application/javascript": "go()", "text/plain": "plain"})
    page = shown(tmp_path, html_output(ACTIVE), javascript)
    assert "told ⟨U+202E⟩" in page and ">link</a>" in page
    assert not re.search(r"example|<script|<iframe|javascript:|onerror|go\(\)", page)


def test_a_frame_keeps_its_table_and_its_heads_get_a_scope(tmp_path: Path):
    table = (
        "<table><thead><tr><th></th><th>n</th></tr></thead><tbody><tr><th>0</th><td>1 &amp; 2</td></tr></tbody></table>"
    )
    page = shown(tmp_path, html_output(table))
    assert '<td></td><th scope="col">n</th>' in page and '<th scope="row">0</th>' in page and "1 &amp; 2" in page


def test_a_line_that_was_overwritten_shows_its_last_state(tmp_path: Path):
    page = shown(tmp_path, v4.new_output("stream", name="stderr", text="10%\r50%\r100%\nend\n"))
    assert "100%\nend" in page and "10%" not in page


def test_twice_gives_the_same_bytes(tmp_path: Path):
    path = notebook(tmp_path, html_output("<b>x</b>"))
    assert write_notebook_html(path).read_bytes() == write_notebook_html(path).read_bytes()


def test_an_older_notebook_without_cell_ids_is_read(tmp_path: Path):
    path = notebook(tmp_path)
    path.write_text(re.sub(r' *"id": "[^"]*",\n', "", path.read_text()))
    first = write_notebook_html(path).read_bytes()
    assert b"Some" in first and write_notebook_html(path).read_bytes() == first


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"cells": 3}', "\x00"])
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: str):
    path = tmp_path / "x.ipynb"
    path.write_text(content)
    with pytest.raises(UsageError, match="is not a notebook"):
        write_notebook_html(path)
    with pytest.raises(UsageError, match="cannot be read"):
        write_notebook_html(tmp_path / "absent.ipynb")


def test_an_output_that_scrolls_can_be_reached_by_the_keyboard(tmp_path: Path):
    found = Tags(shown(tmp_path, html_output("<table><tr><td>1</td></tr></table>"))).found
    outputs = [attrs for tag, attrs in found if tag == "div" and "output_html" in (attrs.get("class") or "")]
    assert [one.get("tabindex") for one in outputs] == ["0"] and outputs[0]["aria-label"] == "Output"
