"""`python -m vidops.cli`: the command line where no script is installed."""

from vidops.cli import main

main()
