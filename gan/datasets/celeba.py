"""CelebA: some 90,000 of its photographs, cropped to 64x64, downloaded once; for non-commercial research only.

source = open_celeba(Request("celeba", size=64, cache_dir=Path("cache")))
"""

from dataclasses import replace

from gan import download
from gan.datasets.source import Request, Source
from gan.datasets.zip_archive import open_zip, require_images
from gan.progress import track_task

URL = (
    "https://s3.amazonaws.com/video.udacity-data.com/topher/2018/November/"
    "5be7eb6f_processed-celeba-small/processed-celeba-small.zip"
)


def open_celeba(request: Request) -> Source:
    """Opens the zip of CelebA, which is first downloaded to `request.cache_dir`. Raises RunError if that fails."""
    path = request.cache_dir / URL.rsplit("/", 1)[1]
    if not path.exists():
        with track_task("Downloading CelebA") as tick:
            download.fetch(URL, path, require_images, tick)
    return open_zip(replace(request, data=str(path)))
