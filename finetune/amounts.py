"""Amount: parameters, tokens, bytes or seconds, written for people."""


def billions(parameters: float) -> str:
    """Write a number of parameters."""
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.0f}M"


def gigabytes(size: float) -> str:
    """Write a number of bytes."""
    return f"{size / 1e9:.1f} GB" if size < 99.5e9 else f"{size / 1e9:.0f} GB"


def duration(seconds: float) -> str:
    """Write a time in the unit that fits it."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            digits = 1 if seconds < 10 * size else 0
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


def counted(number: int, plural: str) -> str:
    """Write a number of things; `plural` loses its s for one."""
    return f"{number} {plural.removesuffix('s') if number == 1 else plural}"


def rounded(number: int) -> str:
    """Write a number that is only guessed at, by its first two digits."""
    if number >= 1e5:
        return f"{number / 1e6:.1f} million"
    return f"{round(number, min(0, 2 - len(str(number)))):,}"
