"""The ways to tune, one module each."""
