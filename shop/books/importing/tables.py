"""Books from a table in a text file (CSV), as a spreadsheet saves it."""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shop.books import isbn as isbns
from shop.books.importing.entries import BookEntry, NotReadable, Refused, Unusable, number_of, price_of

_NEEDED = ("isbn",)
_WORDS = ("title", "author", "series", "publisher", "format", "language", "blurb")
_NUMBERS = {"series_number": "number in a series", "year": "year", "pages": "number of pages", "weight_grams": "weight"}
COLUMNS = ("isbn", "title", "author", "price", "shelf", *_WORDS[2:], *_NUMBERS, "for_sale")
_YES_NO = {"yes": True, "1": True, "true": True, "no": False, "0": False, "false": False}
_CELL_MOST = 100_000


def read(path: Path, *, currency: str) -> Iterator[BookEntry | Refused]:
    """Each line as an entry; a column that is not there, and a cell that is empty, say nothing.

    Raises:
        NotReadable: it is no table of books.
    """
    csv.field_size_limit(_CELL_MOST)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            head = file.readline()
            rows = csv.reader(file, delimiter=_delimiter(head))
            names = _names(head)
            for cells in rows:
                if any(cell.strip() for cell in cells):
                    yield _entry(f"line {rows.line_num + 1}", names, cells, currency)
        except UnicodeDecodeError as error:
            raise NotReadable(f"{path} is not UTF-8 ({error.reason}): save it as “CSV UTF-8”") from error
        except csv.Error as error:
            raise NotReadable(f"{path} is no table from there on: {error}") from error


def _delimiter(head: str) -> str:
    return max(",;\t", key=head.count)


def _names(head: str) -> list[str]:
    names = [name.strip().lower() for name in next(csv.reader([head], delimiter=_delimiter(head)), [])]
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or len(set(names)) < len(names) or not set(_NEEDED) <= set(names):
        raise NotReadable(
            f"The first line must name the columns, each once, and isbn among them: {', '.join(COLUMNS)}. "
            + (f"Unknown: {', '.join(name[:40] or '(empty)' for name in unknown[:5])}." if unknown else "")
        )
    return names


def _entry(place: str, names: list[str], cells: list[str], currency: str) -> BookEntry | Refused:
    said = {name: cell.strip() for name, cell in zip(names, cells, strict=False) if cell.strip()}
    try:
        if len(cells) > len(names):
            raise Unusable(f"It has {len(cells)} cells, and there are {len(names)} columns")
        isbn = isbns.typed(said.get("isbn", ""))
        if not isbn:
            raise Unusable(f"{said.get('isbn', '')[:40]!r} is no ISBN: look at its last digit")
        return BookEntry(place=place, isbn=isbn, fields=_fields(said, currency), shelf=said.get("shelf", ""))
    except Unusable as error:
        return Refused(place, said.get("isbn", "")[:40], str(error))


def _fields(said: Mapping[str, str], currency: str) -> dict[str, Any]:
    fields: dict[str, Any] = {name: said[name] for name in _WORDS if name in said}
    for name, what in _NUMBERS.items():
        if name in said:
            fields[name] = number_of(said[name], what)
    others: dict[str, tuple[str, Callable[[str], Any]]] = {
        "price": ("price_minor", lambda text: price_of(text, currency)),
        "for_sale": ("is_listed", _yes_or_no),
    }
    for column, (name, read_cell) in others.items():
        if column in said:
            fields[name] = read_cell(said[column])
    return fields


def _yes_or_no(text: str) -> bool:
    if text.lower() not in _YES_NO:
        raise Unusable(f"for_sale is {text[:40]!r}: write yes or no")
    return _YES_NO[text.lower()]
