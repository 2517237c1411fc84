"""What git says of the working tree, if it stands under git at all."""

import subprocess
from pathlib import Path


def lines(*arguments: str) -> list[str] | None:
    """What `git <arguments>` prints, by line; None where there is no git, or the folder is no repository's root."""
    if not Path(".git").exists():  # git would take the repository of a folder above
        return None
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return None
    return None if done.returncode else done.stdout.splitlines()
