"""Results for people (text) and for programs (one JSON document)."""
