"""Adapts pages to the site: links to source files, and a mark on generated reports."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
REPORT = re.compile(r"results/(branching|serving|.+/(report|comparison))\.md")
MARK = """!!! info "Generated report"
    A program wrote this page from the recorded runs beside it. It is not edited by hand.

"""
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_log = logging.getLogger("mkdocs.hooks.pages")


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show files outside the site by their path, and mark generated reports."""
    uri = page.file.src_uri
    folder = Path(config.docs_dir).joinpath(uri).parent

    def in_site(link: re.Match[str]) -> str:
        if "://" in link[2]:
            return link[0]
        target = Path(os.path.normpath(folder / link[2]))
        if target.is_relative_to(config.docs_dir):
            return link[0]
        if not target.exists():
            _log.warning("%s links to %s, which does not exist", uri, link[2])
        path = target.relative_to(ROOT).as_posix()
        text = link[1].strip("`")
        return f"`{path}`" if path.endswith(text) else f"{link[1]} (`{path}`)"

    text = _LINK.sub(in_site, markdown)
    return MARK + text if REPORT.fullmatch(uri) else text
