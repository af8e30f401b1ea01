"""A page of HTML as it is read: whole, and without anything that loads or runs."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Every tag closed in its order, every text, every attribute."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.text += " "
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(page: str) -> Page:
    """Loads nothing: no address but one inside of the page, in attributes and style alike; runs nothing."""
    assert page.startswith("<!DOCTYPE html>")
    found = Page(page)
    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a", "use", "image"}
    assert not [
        name
        for name, _ in found.attributes
        if name in ("src", "href", "xlink:href", "style", "action") or name.startswith("on")
    ]
    assert re.findall(r"url\((.*?)\)", page) == ["#tip"] * page.count("url(")
    assert "@import" not in page
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in found.attributes
    return found
