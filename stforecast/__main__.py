"""`python -m stforecast` is the same as the `stforecast` command."""

from stforecast.cli import main

if __name__ == "__main__":
    main()
