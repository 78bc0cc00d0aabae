"""Lays a mail out as HTML that small screens and screen readers manage; without it a link could not be tapped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from django.utils.html import escape

from backend.apps.messaging import shipped
from backend.apps.messaging.facts import Facts
from backend.apps.messaging.template_syntax import Filled

STYLE = (
    "body{font:16px/1.5 sans-serif;color:#1a1a1a;max-width:34em;margin:0 auto;padding:16px}"
    "a.button{display:inline-block;padding:12px 20px;border-radius:6px;background:#0b5cad;color:#fff;"
    "text-decoration:none}footer{color:#555;font-size:14px;border-top:1px solid #ddd;margin-top:24px}"
)


class Page(NamedTuple):
    kind: str
    language: str
    title: str
    facts: Facts


def document(page: Page, body: Iterable[Filled]) -> str:
    """Return the whole mail; every run of text is escaped, also the template's own."""
    text = "".join(_run(page, run) for run in body).replace("\r\n", "\n").strip()
    blocks = [_block(block) for block in re.split(r"\n{2,}", text)]
    return (
        f'<!doctype html>\n<html lang="{escape(page.language)}">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join([*blocks, _foot(page)])
        + "\n</body>\n</html>\n"
    )


def _run(page: Page, run: Filled) -> str:
    if run.variable == "link":
        return f'<a class="button" href="{escape(run.text)}">{escape(shipped.button(page.language, page.kind))}</a>'
    return escape(run.text)


def _block(text: str) -> str:
    lines = text.split("\n")
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{line[2:]}</li>" for line in lines) + "</ul>"
    return f"<p>{'<br>'.join(lines)}</p>"


def _foot(page: Page) -> str:
    facts = page.facts
    lines: list[str] = [escape(line) for line in (facts.clinic, facts.phone) if line]
    if facts.unsubscribe_link:
        words = escape(shipped.phrases(page.language).unsubscribe.rstrip(":"))
        lines.append(f'<a href="{escape(facts.unsubscribe_link)}">{words}</a>')
    return f"<footer><p>{'<br>'.join(lines)}</p></footer>"
