"""`python -m benchmarks` is `bench`."""

from benchmarks.commands.cli import main

if __name__ == "__main__":
    main(prog_name="bench")
