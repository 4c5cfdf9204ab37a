"""The command ``sharegrid``, also as ``python -m sharegrid``."""

import sys

import sharegrid


def main() -> None:
    """Start the command line, unless something else has the name of one of our packages."""
    try:
        sharegrid.check_not_shadowed()
    except sharegrid.ShadowedPackage as error:
        print(f"sharegrid: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    from cosim.cli import main as command_line

    command_line(prog_name="sharegrid")


if __name__ == "__main__":
    main()
