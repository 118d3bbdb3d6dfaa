"""MkDocs hooks: add the generated pages, draw the formulas, refuse undocumented names."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import Abort
from mkdocs.structure.files import File, Files

import coverage_check
import gen_pages

FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>', re.S
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Stop the build when a public name is undocumented."""
    if faults := coverage_check.faults():
        raise Abort("undocumented public names:\n" + "\n".join(f"  {fault}" for fault in faults))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the package and from the committed results."""
    nav: list[Any] = list(config.nav or [])
    for section in gen_pages.sections():
        nav.append(section.nav)
        for path, content in section.pages.items():
            files.append(File.generated(config, path, content=content))
    config.nav = nav
    return files


def on_page_content(content: str, **_: Any) -> str:
    """Turn every formula into MathML, which browsers draw without any script."""

    def draw(match: re.Match[str]) -> str:
        display = "block" if match["open"] == "[" else "inline"
        return convert(html.unescape(match["tex"]).strip(), display=display)

    return FORMULA.sub(draw, content)
