"""Addresses: where a server is, told without the credentials that its address may hold."""

import ipaddress
from urllib.parse import urlsplit


def is_here(url: str) -> bool:
    """Tell whether an address is this machine: no proxy of the environment leads there."""
    host = (urlsplit(url).hostname or "").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def is_address(url: str) -> bool:
    """Tell whether a text is the address of a server on the web or here."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or too large
        return False


def place(url: str) -> str:
    """Name the host and the port of an address, alone."""
    return urlsplit(url).netloc.rpartition("@")[2] or without_user(url)


def without_user(url: str) -> str:
    """Put stars for the name and the password in an address."""
    head = url[: url.find("://") + 3] if "://" in url else ""
    server, slash, rest = url.removeprefix(head).partition("/")
    _, at, host = server.rpartition("@")
    return f"{head}****@{host}{slash}{rest}" if at else url
