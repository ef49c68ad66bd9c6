"""``python -m consumer`` is ``binmirror``."""

from consumer.cli.app import main

main()
