"""Who and what this process is, as leases and the audit name it."""

import getpass
import os
import secrets
import socket


def process_name() -> str:
    """Tells this process from every other."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


def user_name() -> str:
    """Who gives the command, on this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def who() -> str:
    """``user@host``, as the audit shows it."""
    return f"{user_name()}@{socket.gethostname()}"
