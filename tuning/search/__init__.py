"""Search space and strategies. Pure: no Django, no I/O."""
