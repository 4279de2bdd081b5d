"""A version's bytes as a file, checked before they are sent."""

import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pydantic import Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from mlrepro.catalog import VersionName, version
from mlrepro.web.pages.asked import Asked
from mlrepro.web.pages.page import Query
from mlrepro.web.pages.version_name import named

_SUFFIXES: Final = {"arrow": ".arrow", "json": ".json", "text": ".txt", "pickle": ".pickle", "npy": ".npy"}
_PLAIN: Final = re.compile(r"[^A-Za-z0-9_.-]+")


class DownloadQuery(Query):
    """Which version."""

    of: str = Field(description="The version: team/churn_model@v3.", max_length=2000)
    scope: str | None = Field(default=None, description="Whose history. Default: its own.", max_length=100)
    partition: str | None = Field(default=None, description="Partition key.", max_length=1000)


def download(asked: Asked, query: DownloadQuery) -> Response:
    """Send a version's bytes as they are stored; a folder as a zip file. Browsers are told to open none of it.

    Raises:
        NotHereError: The user sees no such asset.
        UnknownVersionError: There is no such version.
        StoreError: Its bytes are gone or damaged.
    """
    store, _, name = named(asked, query.of, query.scope)
    found = version(str(name), partition=query.partition, store=store)
    folder = Path(tempfile.mkdtemp(prefix="mlrepro-download-"))
    try:
        path = store.export_value(found.stored, folder / "value")
        suffix = _SUFFIXES.get(found.stored.format, "")
        if path.is_dir():
            path, suffix = _zipped(path, folder / "value.zip"), ".zip"
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    plain = _PLAIN.sub("_", "-".join([*found.asset, f"v{found.number}"]))[-120:]
    return FileResponse(
        path,
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(plain + suffix)}",
            "Content-Security-Policy": "sandbox",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "X-Mlrepro-Version": quote(str(VersionName(found.asset, found.number))[:300]),
        },
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def _zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return target
