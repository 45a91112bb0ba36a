"""How long pages take, how large they are, and what many open tabs cost while logs are written."""
