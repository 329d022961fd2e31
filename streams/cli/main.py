"""The console script `ensue`: exit codes 0 ok, 1 failed, 2 bad input, 3 nothing found."""

import os
import sys


def main() -> None:
    """Run the command line; errors of ours are one sentence, never a traceback."""
    try:
        import typer  # noqa: F401
    except ImportError:
        sys.exit(
            "ensue: the command line needs the server parts; install them with: pip install 'ensue[local]'"
        )
    import tomllib

    from pydantic import ValidationError

    from streams.cli.app import app
    from streams.errors import BadInput, EnsueError

    try:
        app(standalone_mode=True)
    except BadInput as error:
        _fail(str(error), 2)
    except tomllib.TOMLDecodeError as error:
        _fail(f"ensue.toml is not TOML: {error}", 2)
    except ValidationError as error:
        found = [(".".join(map(str, one["loc"])) or error.title, one["msg"]) for one in error.errors()]
        told = "; ".join(f"setting {place}: {text[0].lower()}{text[1:]}" for place, text in found)
        _fail(f"{told}; see ensue.toml and ENSUE_* variables", 2)
    except EnsueError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        # The reader (head, less) has seen enough; closing stderr keeps Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _fail(message: str, code: int) -> None:
    print(f"ensue: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
