"""Finished selections: kept beside their results, opened again, explained and compared."""
