"""Keyword-spotting networks as data, and what follows from their sizes."""
