"""The object store: one address, four backends (folder, S3, Azure Blob, GCS) through obstore."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.core.kit.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("file", "s3", "gs", "az", "abfs", "abfss")


def open_store(url: str, *, setting: str = "POINTSMAN_OBJECTS_URL") -> "ObjectStore":
    """
    The store at `url`; a folder is made when missing. Credentials come from the workload's identity.

    Raises:
        ConfigurationInvalid: the scheme is not one of SCHEMES.
    """
    from obstore.store import LocalStore, from_url

    refuse_unknown(url, setting=setting)
    if urlsplit(url).scheme == "file":
        folder = Path(url.removeprefix("file://").removeprefix("file:")).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return LocalStore(str(folder), mkdir=True)
    return from_url(url)


def refuse_unknown(url: str, *, setting: str) -> None:
    """Raises like `open_store`, and opens nothing."""
    scheme = urlsplit(url).scheme
    if scheme not in SCHEMES:
        raise ConfigurationInvalid(
            f"{setting} has the scheme '{scheme}'; use one of {', '.join(SCHEMES)}, "
            "for example file:///var/lib/pointsman/objects or s3://bucket/prefix"
        )
