"""A hook of MkDocs: links to files beside docs/ become their names, once they are seen to exist."""

import re
from pathlib import Path

LINK = re.compile(r"\[([^\]]+)\]\((\.\.[^)#]*)(#[^)]*)?\)")
DOCS = Path(__file__).parent.parent / "docs"


def on_page_markdown(markdown: str, page, **_) -> str:
    """Give the pages links that lead somewhere."""
    here = (DOCS / page.file.src_uri).parent

    def named(found: re.Match[str]) -> str:
        target = (here / found[2]).resolve()
        if target.is_relative_to(DOCS):
            return found[0]
        if not target.exists():
            raise FileNotFoundError(f"{page.file.src_uri} links to {found[2]}, which is not there")
        return f"{found[1]} (`{target.relative_to(DOCS.parent)}`)"

    return LINK.sub(named, markdown)
