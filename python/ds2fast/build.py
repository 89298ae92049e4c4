"""What this installation of ds2fast is and runs on."""

from __future__ import annotations

import platform
import sys
from typing import Any

from ds2fast import _core
from ds2fast.threads import available_threads


def build_info() -> dict[str, Any]:
    """Version, compiler, SIMD level in use and the threads that a call uses by default.

    Examples
    --------
    >>> sorted(build_info())
    ['compiler', 'platform', 'python', 'simd_level', 'simd_levels', 'threads', 'version']
    """
    return {
        "version": _core.__version__,
        "compiler": _core.compiler(),
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "simd_level": _core.simd_level(),
        "simd_levels": _core.simd_levels(),
        "threads": available_threads(),
    }
