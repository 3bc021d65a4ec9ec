"""Entries into the catalogue, batch by batch: new books, changed ones, withdrawn ones, and what is refused and why.

# Note [What an import leaves alone]
A book that is there keeps its shelf, where staff may have moved it, and every field of which its entry does not speak.
Stock is not touched: copies are received, not imported. Running the same file again changes nothing.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from shop.books import pricing, updates
from shop.books.importing.entries import BLURB_MOST, BookEntry, NotReadable, Refused, Unusable
from shop.books.search import index as search_index
from shop.models import Book, Category
from shop.operations import activity_log
from shop.typed import texts

BATCH = 500
# What an import writes; its other fields follow from these.
_FIELDS = (
    "title", "author", "price_minor", "series", "series_number", "publisher", "year", "pages", "weight_grams",
    "format", "language", "blurb", "is_listed",
)  # fmt: skip
_NEEDED = ("title", "author", "price_minor", "year", "pages")
_COLUMNS = (*_FIELDS, *Book.DERIVED)
_LOCK = 0x1B00_4B5
"""Of PostgreSQL's advisory locks: two imports at a time would add the same book twice."""


@dataclass(slots=True)
class ImportReport:
    """What became of a file's entries."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    refused: list[Refused] = field(default_factory=list)

    @property
    def read(self) -> int:
        """How many entries there were."""
        return self.new + self.changed + self.unchanged + self.withdrawn + len(self.refused)

    def add(self, other: "ImportReport") -> None:
        """What became of more entries."""
        self.new += other.new
        self.changed += other.changed
        self.unchanged += other.unchanged
        self.withdrawn += other.withdrawn
        self.refused += other.refused


def load(
    entries: Iterable[BookEntry | Refused],
    report: ImportReport,
    *,
    who: str,
    shelf: str = "",
    is_rehearsal: bool = False,
) -> Iterator[None]:
    """Put all entries into the catalogue, batch by batch; the report grows with each one that is committed.

    `shelf` is the slug for new books whose entry names none; `who` stands in the activity log with each changed offer.
    A rehearsal does all of it, and leaves nothing behind.

    Raises:
        NotReadable: the file breaks off; what was read before is in the catalogue.
        DatabaseError: a batch was not written; what was reported before is.
    """
    coming, broken = iter(entries), None
    while broken is None:
        batch = list[BookEntry | Refused]()
        try:
            for entry in islice(coming, BATCH):
                batch.append(entry)  # one by one: those before the break are kept
        except NotReadable as error:
            broken = error
        if not batch:
            break
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            done = _Batch(batch, shelf).write(who)
            if is_rehearsal:
                transaction.set_rollback(True)
        pricing.forget()
        report.add(done)
        yield
    if broken is not None:
        raise broken


class _Batch:
    """Entries that go in together. Of several for one book the last one counts, as files are written in order."""

    def __init__(self, entries: Sequence[BookEntry | Refused], shelf: str) -> None:
        self._report, self._shelf = ImportReport(), shelf
        self._entries = [entry for entry in entries if isinstance(entry, BookEntry)]
        self._report.refused += [entry for entry in entries if isinstance(entry, Refused)]
        self._shelves: Mapping[str, Category] = {each.slug: each for each in Category.objects.all()}
        isbns = [entry.isbn for entry in self._entries]
        rows = Book.objects.filter(isbn__in=isbns).select_related("category").order_by("isbn")
        self._known = {book.isbn: book for book in rows.select_for_update(of=("self",))}
        self._after: dict[str, Book] = {}

    def write(self, who: str) -> ImportReport:
        for entry in self._entries:
            try:
                self._take(entry)
            except (Unusable, texts.NotAllowed) as error:
                self._report.refused.append(Refused(entry.place, entry.isbn, str(error)))
        before = self._known
        new = [book for isbn, book in self._after.items() if isbn not in before]
        changed = [book for isbn, book in self._after.items() if isbn in before and _differ(before[isbn], book)]
        Book.objects.bulk_create(new)
        Book.objects.bulk_update(changed, _COLUMNS)
        search_index.put([*new, *changed])
        updates.state_all([(before.get(book.isbn), book) for book in (*new, *changed)])
        for book in changed:
            known = before[book.isbn]
            if (was := updates.offer_of(known)) != (now := updates.offer_of(book)):
                activity_log.record(user=None, who=who, what="book changed", subject=book.isbn, before=was, after=now)
        return self._report

    def _take(self, entry: BookEntry) -> None:
        known = self._after.get(entry.isbn) or self._known.get(entry.isbn)
        if entry.is_withdrawn:
            if known is None:
                raise Unusable("It is withdrawn, and was never in the catalogue")
            self._report.withdrawn += 1
            self._put(known, {"is_listed": False})
            return
        book = self._put(known or self._new(entry), _cleaned(entry.fields))
        if known is None:
            self._report.new += 1
        elif _differ(known, book):
            self._report.changed += 1
        else:
            self._report.unchanged += 1

    def _put(self, known: Book, fields: Mapping[str, object]) -> Book:
        book = copy.copy(known)
        for name, value in fields.items():
            setattr(book, name, value)
        book.fill_search_fields()
        _check(book)
        self._after[book.isbn] = book
        return book

    def _new(self, entry: BookEntry) -> Book:
        if missing := [_words(name) for name in _NEEDED if not entry.fields.get(name)]:
            raise Unusable(f"It is new, and has no {', no '.join(missing)}")
        slug = entry.shelf or self._shelf
        if not slug:
            raise Unusable("It is new, and nothing says which shelf it belongs on: give one, or a default")
        if slug not in self._shelves:
            raise Unusable(f"There is no shelf {slug[:40]!r}: {', '.join(self._shelves) or 'the shop has none'}")
        return Book(isbn=entry.isbn, category=self._shelves[slug])


def _cleaned(fields: Mapping[str, object]) -> dict[str, object]:
    """As people's own input is: without invisible characters, and none too long.

    Raises:
        NotAllowed: a text is not allowed.
    """
    cleaned = dict(fields)
    for name, value in fields.items():
        if isinstance(value, str) and name not in ("format", "language"):
            is_long = name == "blurb"
            most = getattr(Book._meta.get_field(name), "max_length", None) or BLURB_MOST
            try:
                cleaned[name] = texts.clean(value, max_length=most, multiline=is_long)
            except texts.NotAllowed as error:
                raise Unusable(f"{_words(name)}: {error}") from error
    return cleaned


def _check(book: Book) -> None:
    try:
        book.clean_fields(exclude=("category", *Book.DERIVED))
    except ValidationError as error:
        said = [f"{_words(name)}: {' '.join(words)}" for name, words in error.message_dict.items()]
        raise Unusable("; ".join(said)) from error


def _differ(before: Book, after: Book) -> bool:
    return any(getattr(before, name) != getattr(after, name) for name in _FIELDS)


def _words(name: str) -> str:
    return {"price_minor": "price", "is_listed": "for sale"}.get(name, name.replace("_", " "))
