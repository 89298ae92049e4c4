"""Rows in and out: which fields hold the text, what the scores mean, how files are written."""
