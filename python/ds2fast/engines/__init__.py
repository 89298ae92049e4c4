"""Where the long stages run: in this process, or on a Ray cluster."""

from ds2fast.engines.engine import ENGINES, Engine
from ds2fast.engines.opening import check_engine, open_engine

__all__ = ["ENGINES", "Engine", "check_engine", "open_engine"]
