"""Blocks: trials that a compiled program trains together, packed, placed in lanes, trained, and read."""
