"""Other people's formats, for viewers that people already have."""
