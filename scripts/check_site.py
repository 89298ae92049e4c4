"""No page of a built site loads anything from elsewhere.

    python scripts/check_site.py build/site

Links that a reader may follow are let be; what a browser fetches by itself is not. Prints what was
found and exits with 1 where there is any.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

FETCHED = {
    "script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src",
    "video": "src", "audio": "src", "embed": "src", "object": "data", "use": "href",
}  # fmt: skip


class Fetches(HTMLParser):
    """Addresses elsewhere that a page has a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the address where it is one of another place."""
        address = dict(attrs).get(FETCHED.get(tag, "")) or ""
        if address.startswith(("http:", "https:", "//")):
            self.found.append(f"<{tag}> {address}")


def main() -> int:
    """The command line: returns 0 where nothing is fetched, else 1; 2 on wrong use."""
    site = Path(sys.argv[1]) if len(sys.argv) == 2 else None
    pages = [] if site is None else sorted(site.rglob("*.html"))
    if not pages:
        print("expected the folder of a built site, with pages in it", file=sys.stderr)
        return 2
    found = 0
    for page in pages:
        parser = Fetches()
        parser.feed(page.read_text(encoding="utf-8"))
        found += len(parser.found)
        for address in parser.found:
            print(f"{page}: {address}")
    print(f"{len(pages)} pages, {found} of what they load lies elsewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
