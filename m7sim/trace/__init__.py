"""What a run executed: capture by native hooks, address reconstruction, the chunk format."""
