"""`python -m emojudge`."""

from emojudge.cli import main

main()
