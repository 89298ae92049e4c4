"""Arrow's classes told apart without importing pyarrow, which takes long and is rarely needed."""

from __future__ import annotations

import sys
from typing import Any


def is_arrow(value: Any, *kinds: str) -> bool:
    """Whether `value` is of one of these classes of pyarrow: what is not imported made no value.

    Examples
    --------
    >>> is_arrow([1, 2], "Array")
    False
    """
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(value, tuple(getattr(pyarrow, k) for k in kinds))
