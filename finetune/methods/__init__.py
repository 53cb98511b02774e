"""The ways to tune, one module each, and what they have in common."""
