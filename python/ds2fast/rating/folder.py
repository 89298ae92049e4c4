"""Where replies are kept, and what a rater is known by."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ds2fast.errors import InputError, InputTypeError

ENVIRONMENT_VARIABLE = "DS2FAST_RATINGS_DIR"


def ratings_folder() -> Path:
    """Where replies are kept unless a file is named.

    They cost money, so it is no cache, which a system may empty: `DS2FAST_RATINGS_DIR`, else the
    user's folder for data.
    """
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/ds2fast/ratings").expanduser()
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    return data / "ds2fast" / "ratings"


def default_store(identity: Mapping[str, Any]) -> Path:
    """File of a rater in `ratings_folder`; nothing is made yet.

    Parameters
    ----------
    identity : mapping
        As `ReplyStore.rater_id` takes it; its entry `model` begins the name.

    Examples
    --------
    >>> default_store({"model": "some/Model-7B"}).name
    'some-Model-7B-9080d262.sqlite'
    """
    digest = hashlib.sha256(canonical(identity).encode()).hexdigest()[:8]
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", str(identity.get("model", "")))
    return ratings_folder() / f"{words.strip('-.')[:60] or 'model'}-{digest}.sqlite"


def canonical(identity: Mapping[str, Any]) -> str:
    """JSON of an identity that does not depend on the order of its names.

    Raises
    ------
    InputTypeError, InputError
        No mapping, or values that JSON cannot hold.

    Examples
    --------
    >>> canonical({"model": "m", "at": 1})
    '{"at":1,"model":"m"}'
    """
    if not isinstance(identity, Mapping):
        raise InputTypeError(f"identity: expected a mapping, got {type(identity).__name__}")
    try:
        return json.dumps(dict(identity), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise InputTypeError(f"identity: expected what JSON can hold: {error}") from error
    except ValueError as error:
        raise InputError(f"identity: expected what JSON can hold: {error}") from error
