"""What proves to the gateway that the caller owns its data folder: a file that only its owner can read."""

import os
import secrets
from pathlib import Path

from streams.errors import BadInput

FILE = "operator.secret"


def operator_secret(data: Path) -> str:
    """Return the secret, drawing it at the first call. Raises OSError."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / FILE
    part = path.with_name(f"{FILE}.{os.getpid()}.part")
    if not path.exists():
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(32))
        try:
            path.hardlink_to(part)  # whole, and only by the first of several
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_text("ascii").strip()


def read_operator_secret(data: Path) -> str:
    """Return the secret of a gateway's data folder; raises BadInput when it is not ours to read."""
    path = data / FILE
    try:
        return path.read_text("ascii").strip()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror}); run this on the gateway's machine, as its user, "
            "with its --data"
        ) from None
