"""What mkdocs calls while it builds the pages."""

from typing import Any

NO_DEFAULT = "<code>Sentinel.UNSET</code>"
"""What mkdocs-click makes of an option without a default under click 8.3 and later."""


def on_page_content(html: str, **_: Any) -> str:
    """Leave the cell of a default empty where there is none."""
    return html.replace(NO_DEFAULT, "")
