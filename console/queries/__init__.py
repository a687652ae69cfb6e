"""What pages show, read from all rooms into plain rows: no writing, no HTTP."""
