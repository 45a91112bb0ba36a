"""The chaos run: its short version, and proof that its checks find what they are for."""
