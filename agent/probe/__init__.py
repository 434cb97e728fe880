"""What this board is and has, what the agent would take of it and why, and what to do where something is missing."""
