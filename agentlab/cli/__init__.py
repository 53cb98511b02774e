"""The command line: one module a command, none of which loads a heavy library at import."""
