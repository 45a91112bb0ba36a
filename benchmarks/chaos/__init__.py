"""The chaos run: an installation at work, a fault every few seconds, and at the end a count of everything."""
