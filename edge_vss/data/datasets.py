"""Opens a data set by its URI. A new kind is one file with an opener and one line in ``READERS``."""

from __future__ import annotations

from collections.abc import Callable

from edge_vss.data.camvid import open_camvid
from edge_vss.data.cityscapes import open_cityscapes
from edge_vss.data.cityscapes_vps import open_vps
from edge_vss.data.dataset import Clip, Dataset, Sample
from edge_vss.data.folder import open_folder
from edge_vss.data.nyud import open_nyud
from edge_vss.data.street.reader import open_street
from edge_vss.data.viper import open_viper
from edge_vss.data.voc import open_voc
from edge_vss.data.youtube import open_youtube
from edge_vss.errors import BadInput

__all__ = ["READERS", "Clip", "Dataset", "Sample", "open_dataset"]

READERS: dict[str, Callable[[str], Dataset]] = {
    "camvid": open_camvid,
    "cityscapes": open_cityscapes,
    "folder": open_folder,
    "nyud": open_nyud,
    "street": open_street,
    "viper": open_viper,
    "voc": open_voc,
    "vps": open_vps,
    "youtube": open_youtube,
}
"""Kind -> opener; an opener gets what follows the first colon of the URI."""


def open_dataset(uri: str) -> Dataset:
    """Open ``street:[seed=1,clips=4]``, ``camvid:PATH[:SPLIT]``, ``folder:PATH`` or another of ``READERS``.

    Nothing is decoded before a sample is asked for.

    Raises:
        BadInput: An unknown kind, a missing or empty folder, lists that name missing files; reading a sample raises it
            for unreadable files, label maps of another size than their image and unknown label ids.
    """
    kind, colon, rest = uri.partition(":")
    if not colon or kind not in READERS:
        raise BadInput(f"unknown data set {uri!r}; known kinds: {', '.join(f'{known}:' for known in READERS)}")
    return READERS[kind](rest)
