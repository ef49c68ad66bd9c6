"""The page that shows the contracts to people."""

from html.parser import HTMLParser
from typing import Any

import pytest

from consumer.web.contract.page import _prose
from tests.contract.documents import document_of, operations_of, whole


class Page(HTMLParser):
    """What a page loads, links and names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.summaries: list[str] = []
        self._in_summary = False
        self.feed(text)

    def handle_endtag(self, tag: str) -> None:
        self._in_summary &= tag != "summary"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if self._in_summary:
            self.summaries.append(tag)
        self._in_summary |= tag == "summary"
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in {"href", "src", "srcset", "action", "data"}:
                self.loads.append(value or "")
            elif name.startswith("on") or name == "style":
                self.handlers.append(name)


@pytest.fixture
async def page() -> Any:
    """The page's text."""
    return (await whole().get("/docs")).text


async def test_lists_everything(page: str) -> None:
    """Every operation and every schema has a part of its own, every operation a curl line."""
    document = await document_of(whole())
    found = Page(page)
    assert len(set(found.ids)) == len(found.ids)
    for _, path, operation in operations_of(document):
        assert operation["operationId"] in found.ids
        assert f"<code>{path}</code>" in page
    assert page.count("<code>curl") == len(list(operations_of(document)))
    for name in document["components"]["schemas"]:
        assert f"schema-{name}" in found.ids


async def test_loads_nothing_from_elsewhere(page: str) -> None:
    """It loads its style sheet alone, and links to itself and its neighbours."""
    found = Page(page)
    assert found.loads == ["/docs/style.css"]
    assert {"script", "iframe", "img", "style", "base"}.isdisjoint(found.tags)
    assert found.handlers == []
    inside = {link[1:] for link in found.links if link.startswith("#")}
    assert inside <= set(found.ids)
    neighbours = {link for link in found.links if not link.startswith("#")}
    assert neighbours == {"/openapi.json", "/asyncapi.json", "/schemas"}
    web = whole()
    for link in neighbours:
        assert (await web.get(link)).status_code == 200


async def test_summaries_hold_no_links(page: str) -> None:
    """What a click or Enter opens and closes holds nothing else to be clicked."""
    assert "summary" in Page(page).tags
    assert "a" not in Page(page).summaries


async def test_style_loads_nothing() -> None:
    """The style sheet names no other address."""
    response = await whole().get("/docs/style.css")
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert "url(" not in response.text
    assert "@import" not in response.text


async def test_browsers_are_told_so() -> None:
    """A browser would refuse whatever the page might load beside its style sheet."""
    policy = (await whole().get("/docs")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_prose_is_escaped() -> None:
    """Texts of the document become paragraphs, lists and code, never markup of their own."""
    text = "<b> & `x < y`\n\n- <i>\n- two"
    assert _prose(text) == (
        "<p>&lt;b&gt; &amp; <code>x &lt; y</code></p>\n<ul><li>&lt;i&gt;</li><li>two</li></ul>"
    )
