"""Stand-ins for parts of the outside world that a plain machine lacks, held to the contract of the real ones."""
