"""Writing a JSON file of long lists from the parts that single clips make."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from napari_amodal.formats.dataset import DEFAULT_CATEGORY

#: What one clip adds to the lists of a file: list to entries, whose ids count from 1 in each clip.
Fragment = Mapping[str, list[dict[str, Any]]]

#: Keys that refer to entries, and the lists that those are in.
_REFERENCES = {"image_id": "images", "video_id": "videos", "track_id": "tracks"}


class JsonParts:
    """The lists of a file while they grow, each in a temporary file.

    Ids of a clip's entries are shifted behind those of the clips before. Where an entry names a
    category, the name becomes an id.
    """

    def __init__(self, lists: Mapping[str, IO[str]]) -> None:
        self._lists = lists
        self._counts = dict.fromkeys(lists, 0)
        self._categories: dict[str, int] = {DEFAULT_CATEGORY: 1}

    def add(self, fragment: Fragment) -> None:
        """Add the entries of one clip."""
        before = dict(self._counts)
        for key, entries in fragment.items():
            for entry in entries:
                text = json.dumps(self._placed(key, entry, before), allow_nan=False)
                self._lists[key].write((",\n" if self._counts[key] else "") + text)
                self._counts[key] += 1

    def _placed(self, key: str, entry: dict[str, Any], before: Mapping[str, int]) -> dict[str, Any]:
        placed = dict(entry)
        if "id" in entry:
            placed["id"] = entry["id"] + before[key]
        for name, to in _REFERENCES.items():
            if name in entry and to in before:
                placed[name] = entry[name] + before[to]
        if "category_id" in entry:
            placed["category_id"] = self._category(entry["category_id"])
        if "track_category_ids" in entry:
            ids = entry["track_category_ids"].items()
            placed["track_category_ids"] = {track: self._category(name) for track, name in ids}
        return placed

    def _category(self, name: str) -> int:
        return self._categories.setdefault(name, len(self._categories) + 1)

    def write(self, path: Path, head: Mapping[str, Any]) -> None:
        """Put the file together; `head` are values that come before the lists."""
        categories = [
            {"id": number, "name": name, "supercategory": DEFAULT_CATEGORY}
            for name, number in self._categories.items()
        ]
        with path.open("w", encoding="utf-8") as file:
            file.write("{")
            for key, value in head.items():
                file.write(f"{json.dumps(key)}: {json.dumps(value)},\n")
            for key, entries in self._lists.items():
                file.write(f"{json.dumps(key)}: [\n")
                entries.seek(0)
                while chunk := entries.read(1 << 20):
                    file.write(chunk)
                file.write("\n],\n")
            file.write(f'"categories": {json.dumps(categories)}}}\n')


@contextmanager
def json_parts(lists: tuple[str, ...]) -> Iterator[JsonParts]:
    """Lists to add to, kept on the disk."""
    with ExitStack() as stack:
        files = {
            key: stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            for key in lists
        }
        yield JsonParts(files)
