"""The order of steps: one experiment, one task, and what is kept of them."""
