"""One module for each command: its options, and the wiring behind them."""
