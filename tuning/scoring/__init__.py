"""What a measurement is, what it is worth, and which of two experiments is better. Pure: no Django, no I/O."""
