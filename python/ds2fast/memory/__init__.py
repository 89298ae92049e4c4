"""How much memory a run may hold, what it is going to need, and what goes to disk for it."""

from ds2fast.memory.amount import as_memory

__all__ = ["as_memory"]
