"""A page of HTML as it is read: whole, and without anything that loads or runs."""

from __future__ import annotations

import html
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

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


def chromium(folder: Path, *arguments: str) -> str:
    """What a browser without a window prints."""
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", f"--user-data-dir={folder / 'profile'}", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


_FRAME = """<!DOCTYPE html><iframe style="border: 0" width="{width}" height="900" srcdoc="{page}"></iframe><pre></pre><script>
onload = () => {{
  const shown = document.querySelector("iframe").contentDocument;
  shown.documentElement.style.scrollbarWidth = "none";
  const scrolls = part => part.scrollWidth > part.clientWidth && ["auto", "scroll"].includes(getComputedStyle(part).overflowX);
  document.querySelector("pre").textContent = JSON.stringify({{
    page: shown.documentElement.scrollWidth,
    scrolling: [...shown.querySelectorAll("*")].filter(scrolls).map(part => part.textContent.trim().slice(0, 80)),
  }});
}};
</script>"""


def layout(folder: Path, page: str, width: int) -> dict[str, Any]:
    """How wide a browser makes a page in a frame of so many pixels, and what of it scrolls sideways."""
    (folder / "frame.html").write_text(_FRAME.format(width=width, page=html.escape(page)))
    shown = chromium(folder, "--dump-dom", (folder / "frame.html").as_uri())
    [found] = re.findall(r"<pre>(.*?)</pre>", shown)
    return dict(json.loads(html.unescape(found)))
