"""Writes the formulas of a page as MathML, which needs no script and no network."""

from __future__ import annotations

import html
import logging
import re

import latex2mathml.converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_log = logging.getLogger("mkdocs.hooks.formulas")


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace what arithmatex marked; a formula that cannot be read is a warning, which ends a strict build."""

    def drawn(formula: re.Match[str]) -> str:
        tag, bracket, tex = formula.groups()
        try:
            text = latex2mathml.converter.convert(html.unescape(tex), display="block" if bracket == "[" else "inline")
        except Exception as error:  # the converter raises many kinds for what it cannot read
            _log.warning("%s: the formula %s cannot be read: %r", page.file.src_uri, tex, error)
            return formula[0]
        return f"<{tag}>{text}</{tag}>"

    return _FORMULA.sub(drawn, content)
