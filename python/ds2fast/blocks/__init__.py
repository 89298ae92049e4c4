"""The exact graph from pairs of blocks of rows, each of which is a task of its own."""

from ds2fast.blocks.layout import Layout, blocks_memory, choose_block_rows
from ds2fast.blocks.merge import merge
from ds2fast.blocks.nearest import Nearest
from ds2fast.blocks.search import exact_blocks
from ds2fast.blocks.tasks import between, within

__all__ = [
    "Layout",
    "Nearest",
    "between",
    "blocks_memory",
    "choose_block_rows",
    "exact_blocks",
    "merge",
    "within",
]
