"""ds2fast: select the small, high-quality, diverse subset of LLM-rated instruction data."""

__version__ = "0.1.0"
