"""What mkdocs calls while it builds the pages."""

from __future__ import annotations

from typing import Any

NO_DEFAULT = "<code>Sentinel.UNSET</code>"
"""What mkdocs-click makes of an option without a default under click 8.3 and later."""

SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the theme loads for a search from the disk; pages of ours load nothing from elsewhere."""

OWN_SHIM = "js/worker-from-disk.js"


def on_page_content(html: str, **_: Any) -> str:
    """Leave the cell of a default empty where there is none."""
    return html.replace(NO_DEFAULT, "")


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Have a page search with a script of our own."""
    return output.replace(SHIM, "../" * page.url.count("/") + OWN_SHIM)


def on_post_template(output_content: str, **_: Any) -> str:
    """The same for the page of what is not found."""
    return output_content.replace(SHIM, OWN_SHIM)
