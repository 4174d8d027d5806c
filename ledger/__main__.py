"""`python -m ledger`: the command line, for children that must run under the very same interpreter."""

from ledger.cli import main

if __name__ == "__main__":
    main()
