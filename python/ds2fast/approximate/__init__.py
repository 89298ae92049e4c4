"""The approximate graph: leaves of trees joined, then neighbours of neighbours, then ranked."""

from ds2fast.approximate.search import Found, approximate_graph, approximate_memory, list_width

__all__ = ["Found", "approximate_graph", "approximate_memory", "list_width"]
