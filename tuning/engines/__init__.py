"""The engines: flags, command lines, health, and what their failures mean. Pure: no Django, no I/O."""
