"""Fetching a published file once, by its checksum."""

from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from hidden_structure.frame.errors import InputError


def fetch(addresses: Iterable[str], folder: Path, md5: str, source: str) -> Path:
    """The file in folder, downloaded from the first address that gives it unless it is there with that checksum.

    Every address ends in the file's name. Raises InputError if none gives it: there may be no network.
    """
    from torchvision.datasets.utils import check_integrity, download_url

    for address in addresses:
        name = address.rpartition("/")[2]
        try:
            if check_integrity(folder / name, md5):
                return folder / name
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=folder, prefix=".downloading-") as beside:  # a break leaves no half a file
                download_url(address, Path(beside), filename=name, md5=md5)
                Path(beside, name).replace(folder / name)
        except (OSError, RuntimeError, HTTPException) as error:
            problem = error
        else:
            return folder / name
    raise InputError(
        f"data.source {source}: cannot download {name} ({problem}): set data.folder to a local copy of the data,"
        f" or put that file into {folder}"
    ) from problem
