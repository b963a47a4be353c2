"""A dataset JSON of COCO's kind, sorted by clip into a temporary database.

Annotations of one clip may lie anywhere in the file. They are read once, in order, and put into
SQLite, so that each clip can be read on its own, by any process, while memory stays flat.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_amodal.errors import InputError
from napari_amodal.formats.dataset import checked_id, checked_name, short
from napari_amodal.formats.images import shown
from napari_amodal.formats.json_items import JsonItem, json_items

_SCHEMA = """
CREATE TABLE videos (id INTEGER PRIMARY KEY, body TEXT);
CREATE TABLE images (id INTEGER PRIMARY KEY, video INTEGER, body TEXT);
CREATE TABLE tracks (id INTEGER PRIMARY KEY, video INTEGER, body TEXT);
CREATE TABLE annotations (image INTEGER, video INTEGER, body TEXT);
CREATE TABLE categories (id INTEGER PRIMARY KEY, name TEXT);
"""
_INDICES = """
CREATE INDEX images_by_video ON images (video);
CREATE INDEX tracks_by_video ON tracks (video);
CREATE INDEX annotations_by_image ON annotations (image);
CREATE INDEX annotations_by_video ON annotations (video);
"""

Record = dict[str, Any]


@dataclass(frozen=True)
class ClipRecords:
    """What a file says of one clip; `video` is None for an image that belongs to none."""

    video: Record | None
    images: tuple[Record, ...]
    tracks: tuple[Record, ...]
    annotations: tuple[Record, ...]


@dataclass(frozen=True)
class CocoIndex:
    """A file, sorted by clip.

    Attributes
    ----------
    path, database : pathlib.Path
    clips : tuple
        ``(video id, None)``, or ``(None, image id)`` of an image without a video.
    names : tuple of str
        One a clip.
    categories : dict
        Names by id.
    """

    path: Path
    database: Path
    clips: tuple[tuple[int | None, int | None], ...]
    names: tuple[str, ...]
    categories: dict[int, str]

    def records(self, clip: int) -> ClipRecords:
        """What the file says of a clip."""
        video, image = self.clips[clip]
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as base:

            def rows(query: str, key: int | None) -> tuple[Record, ...]:
                return tuple(json.loads(body) for (body,) in base.execute(query, (key,)))

            if video is None:
                return ClipRecords(
                    None,
                    rows("SELECT body FROM images WHERE id = ?", image),
                    (),
                    rows("SELECT body FROM annotations WHERE image = ? ORDER BY rowid", image),
                )
            own = rows(
                "SELECT body FROM annotations WHERE image IN (SELECT id FROM images "
                "WHERE video = ?) ORDER BY rowid",
                video,
            )
            whole = "SELECT body FROM annotations WHERE image IS NULL AND video = ? ORDER BY rowid"
            return ClipRecords(
                rows("SELECT body FROM videos WHERE id = ?", video)[0],
                rows("SELECT body FROM images WHERE video = ? ORDER BY id", video),
                rows("SELECT body FROM tracks WHERE video = ? ORDER BY id", video),
                own + rows(whole, video),
            )


@contextmanager
def coco_index(path: Path) -> Iterator[CocoIndex]:
    """Sort a file by clip; the database is gone when the block ends.

    Raises
    ------
    InputError
        The file is no such JSON, an id is missing or used twice, or refers to nothing.
    """
    with tempfile.TemporaryDirectory(prefix="napari-amodal-") as folder:
        database = Path(folder) / "index.sqlite"
        with closing(sqlite3.connect(database)) as base:
            base.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _SCHEMA)
            _fill(base, path)
            base.executescript(_INDICES)
            _check_references(base, path)
            clips, names = _clips_of(base, path)
            base.commit()
            categories = dict(base.execute("SELECT id, name FROM categories"))
        yield CocoIndex(path, database, clips, names, categories)


def _fill(base: sqlite3.Connection, path: Path) -> None:
    counts: dict[str, int] = {}
    known = {"videos", "images", "tracks", "annotations", "categories"}
    for item in json_items(path):
        if item.key not in known:
            continue
        at = counts.setdefault(item.key, 0)
        counts[item.key] += 1
        what = f"{shown(path)}, {item.key}[{at}]"
        if not isinstance(item.value, dict):
            raise InputError(f"{what} is {short(item.value)}, no JSON object")
        try:
            _insert(base, item, what)
        except sqlite3.IntegrityError:
            raise InputError(
                f"{what} has the id {item.value['id']} of another one: ids are there once"
            ) from None
        except UnicodeEncodeError as error:
            raise InputError(f"{what} holds text that is none: correct it") from error
    if "images" not in counts and "videos" not in counts:
        raise InputError(f"{shown(path)} lists no images and no videos: it is no dataset")


def _insert(base: sqlite3.Connection, item: JsonItem, what: str) -> None:
    value = item.value
    if item.key == "annotations":
        image = _optional_id(value, "image_id", what)
        video = _optional_id(value, "video_id", what)
        if image is None and video is None:
            raise InputError(f"{what} has neither image_id nor video_id")
        base.execute("INSERT INTO annotations VALUES (?, ?, ?)", (image, video, item.text))
        return
    key = checked_id(value.get("id"), f"{what}, id")
    if item.key == "categories":
        name = value.get("name")
        if not isinstance(name, str):
            raise InputError(f"{what} has no name")
        base.execute("INSERT INTO categories VALUES (?, ?)", (key, name))
    elif item.key == "videos":
        base.execute("INSERT INTO videos VALUES (?, ?)", (key, item.text))
    else:
        video = _optional_id(value, "video_id", what)
        base.execute(f"INSERT INTO {item.key} VALUES (?, ?, ?)", (key, video, item.text))


def _optional_id(value: Record, key: str, what: str) -> int | None:
    return None if value.get(key) is None else checked_id(value[key], f"{what}, {key}")


def _check_references(base: sqlite3.Connection, path: Path) -> None:
    for table, key, to in (
        ("images", "video", "videos"),
        ("tracks", "video", "videos"),
        ("annotations", "image", "images"),
        ("annotations", "video", "videos"),
    ):
        # Images of a plain COCO file may carry video ids of videos that it does not list.
        found = base.execute(
            f"SELECT {key} FROM {table} WHERE {key} IS NOT NULL "
            f"AND {key} NOT IN (SELECT id FROM {to}) LIMIT 1"
        ).fetchone()
        if found is not None:
            raise InputError(
                f"{shown(path)} has {table} of {key}_id {found[0]}, and no such {key} is in its "
                f"{to}: add it, or remove them"
            )
    crossed = base.execute(
        "SELECT a.image FROM annotations a JOIN images i ON a.image = i.id "
        "WHERE a.video IS NOT NULL AND i.video IS NOT NULL AND a.video != i.video LIMIT 1"
    ).fetchone()
    if crossed is not None:
        raise InputError(
            f"{shown(path)} has annotations of image_id {crossed[0]} with the video_id of another "
            "video than the image's"
        )


def _clips_of(
    base: sqlite3.Connection, path: Path
) -> tuple[tuple[tuple[int | None, int | None], ...], tuple[str, ...]]:
    clips: list[tuple[int | None, int | None]] = []
    names: list[str] = []
    for key, body in base.execute("SELECT id, body FROM videos ORDER BY id"):
        clips.append((key, None))
        names.append(_video_name(json.loads(body), f"{shown(path)}, video {key},"))
    for key, body in base.execute("SELECT id, body FROM images WHERE video IS NULL ORDER BY id"):
        clips.append((None, key))
        what = f"{shown(path)}, image {key},"
        name = checked_name(json.loads(body).get("file_name"), what)
        names.append(os.path.splitext(name)[0])  # noqa: PTH122 (a name, no path of this system)
    return tuple(clips), tuple(names)


def _video_name(video: Record, what: str) -> str:
    """``name``, as in TAO, or the folder of the first frame, as in YouTube-VIS."""
    if "name" in video:
        return checked_name(video["name"], what)
    files = video.get("file_names")
    if isinstance(files, list) and files and isinstance(files[0], str):
        return checked_name(files[0], what).rpartition("/")[0] or f"video_{video['id']}"
    return f"video_{video['id']}"
