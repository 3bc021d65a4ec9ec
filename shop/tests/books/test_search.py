"""S4, XD7: search that forgives, suggests, and finds by whatever a book says of itself."""

import pytest
from django.test import Client

from devtools.testing.shop.storefront import a_book
from shop.books import isbn
from shop.books.search import facets, matching, searching
from shop.books.search.folding import fold, slug_of, spellings
from shop.books.search.searching import SearchRequest
from shop.books.search.suggestions import suggestions
from shop.models import Book, BookSearch

pytestmark = [pytest.mark.django_db, pytest.mark.shop]


@pytest.fixture
def library() -> None:
    """Books that differ in all that one can look for."""
    matching.forget()
    a_book(title="The Cartographer's Daughter", author="Inês Barroso", series="The Chart Room", series_number=2,
           publisher="Harbour & Quill", shelf="mystery", year=2021, blurb="A map that is wrong.")  # fmt: skip
    a_book(title="The Empty Meridian", author="Inês Barroso", series="The Chart Room", series_number=1,
           format="hardback", shelf="mystery", year=2024)  # fmt: skip
    a_book(title="Đường về", author="Nguyễn Thị Ánh", language="vi", shelf="fiction", year=2022)
    a_book(title="Broth", author="J. R. O'Neill", shelf="food", year=2020, blurb="Sixty soups for cold evenings.")
    a_book(title="Not for sale", author="Inês Barroso", series="The Chart Room", is_listed=False)


def titles(**wish: str) -> list[str]:
    return [book.title for book in searching.results(SearchRequest.from_query(wish)).page]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("cartographer", ["The Cartographer's Daughter"]),
        ("cartographers daughter", ["The Cartographer's Daughter"]),
        ("the cartographer\u2019s", ["The Cartographer's Daughter"]),
        ("BARROSO ines meridian", ["The Empty Meridian"]),
        ("barr", ["The Empty Meridian", "The Cartographer's Daughter"]),
        ("chart room", ["The Empty Meridian", "The Cartographer's Daughter"]),
        ("harbour quill", ["The Cartographer's Daughter"]),
        ("duong", ["Đường về"]),
        ("nguyen thi anh", ["Đường về"]),
        ("ĐƯỜNG VỀ", ["Đường về"]),
        ("soup", ["Broth"]),
        ("evening", ["Broth"]),
        ("mapping", ["The Cartographer's Daughter"]),
        ("food", ["Broth"]),
        ("jr oneill", ["Broth"]),
        ("J.R. O\u2019Neill", ["Broth"]),
        ("soup barroso", []),
        ("!!!", []),
        ("a & b | !c :* ' \\ %", []),
    ],
)
@pytest.mark.usefixtures("library")
def test_words_are_found_wherever_a_book_has_them(typed: str, found: list[str]) -> None:
    assert titles(q=typed) == found


@pytest.mark.parametrize(
    ("typed", "meant", "found"),
    [
        ("cartografer", "cartographer", ["The Cartographer's Daughter"]),
        ("baroso meridain", "barroso meridian", ["The Empty Meridian"]),
        ("xylophone", "", []),
        ("xyz", "", []),
    ],
)
@pytest.mark.usefixtures("library")
def test_a_mistyped_word_is_taken_for_the_nearest_one_and_said_so(
    typed: str, meant: str, found: list[str], client: Client
) -> None:
    answer = searching.results(SearchRequest.from_query({"q": typed}))
    assert (answer.meant, [book.title for book in answer.page]) == (meant, found)
    page = client.get("/", {"q": typed}).content.decode()
    assert (f"No book has “{typed}”" in page) == bool(meant)


@pytest.mark.usefixtures("library")
def test_every_form_of_an_isbn_finds_the_book() -> None:
    number = Book.objects.get(title="Broth").isbn
    for typed in (number, f"ISBN {number}", f"isbn-13: {number[:3]}-{number[3:7]}-{number[7:12]}-{number[12]}"):
        assert titles(q=typed) == ["Broth"], typed
    book = a_book(title="Old", isbn="9780306406157")
    assert isbn.as_ten(book.isbn) == "0306406152"
    for typed in ("0306406152", "0-306-40615-2", "ISBN-10 0-306-40615-2", "9780306406157"):
        assert titles(q=typed) == ["Old"], typed
    assert isbn.typed("0306406153") == isbn.typed("978030640615") == ""
    assert isbn.typed("0-8044-2957-x") == "9780804429573"


@pytest.mark.usefixtures("library")
def test_what_is_counted_is_what_one_gets() -> None:
    """Each number beside a filter is the number of books on the page that it leads to."""
    for query in (
        {},
        {"q": "barroso"},
        {"category": "mystery"},
        {"q": "a"},
        {"language": "vi"},
        {"author": "ines-barroso"},
    ):
        wanted = SearchRequest.from_query(dict(query))
        counts = facets.counts(wanted.words, wanted.filters)
        assert counts.total == len(titles(**query)), query
        for kind in facets.COUNTED:
            for value, count in counts.by[kind].items():
                assert count == len(titles(**query | {kind: value})), (query, kind, value)


def test_words_that_many_books_have_find_first_what_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "RANKED_MAX", 2)
    monkeypatch.setattr(searching, "PAGE_SIZE", 3)
    a_book(title="The Long River", year=1990)
    a_book(title="River Long", year=1980)
    for year in range(2000, 2006):
        a_book(title=f"Tales {year}", year=year, blurb="A long river.")
    found = [title for page in "123" for title in titles(q="long river", page=page)]
    newest = [f"Tales {year}" for year in range(2005, 1999, -1)]
    assert found == ["The Long River", *newest, "River Long"]


@pytest.mark.usefixtures("library")
def test_an_author_and_a_series_have_pages(client: Client) -> None:
    author = client.get("/authors/ines-barroso/")
    assert [book.title for book in author.context["page"]] == ["The Empty Meridian", "The Cartographer's Daughter"]
    assert "Books by Inês Barroso" in author.content.decode()
    series = client.get("/series/the-chart-room/")
    assert [book.series_number for book in series.context["page"]] == [1, 2]
    page = client.get(Book.objects.get(series_number=1).get_absolute_url()).content.decode()
    found = client.get("/", {"q": "ines"}).context["names"]
    assert [(one.kind, one.url) for one in found] == [("Author", "/authors/ines-barroso/")]
    assert client.get("/", {"q": "cartographer"}).context["names"] == []
    for words in (
        'href="/authors/ines-barroso/"',
        'href="/series/the-chart-room/"',
        "Book 1 of",
        "Hardback",
        "English",
    ):
        assert words in page
    for nowhere in ("/authors/nobody/", "/series/none/", "/?category=nowhere", "/?author=nobody"):
        assert client.get(nowhere).status_code == 404, nowhere


@pytest.mark.usefixtures("library")
def test_suggestions_begin_with_people_and_series_then_books() -> None:
    assert [(one.kind, one.text) for one in suggestions("in")] == [
        ("Author", "Inês Barroso"), ("Book", "The Cartographer's Daughter"), ("Book", "The Empty Meridian"),
    ]  # fmt: skip
    assert [(one.kind, one.text) for one in suggestions("the c")] == [
        ("Series", "The Chart Room"), ("Book", "The Cartographer's Daughter"),
    ]  # fmt: skip
    assert [one.text for one in suggestions("duong")] == ["Đường về"]
    assert suggestions("i") == suggestions("") == suggestions("--") == []


@pytest.mark.usefixtures("library")
def test_suggestions_are_a_fragment(client: Client) -> None:
    response = client.get("/suggest/", {"q": "bro"})
    assert response.status_code == 200
    assert "<html" not in response.content.decode() and 'role="option"' in response.content.decode()


def test_a_book_is_found_by_what_it_says_now() -> None:
    book = a_book(title="Salt")
    book.title = "Pepper"
    book.save(update_fields=["title"])
    assert (titles(q="salt"), titles(q="pepper")) == ([], ["Pepper"])
    Book.objects.filter(pk=book.pk).delete()
    assert not BookSearch.objects.exists()


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Łódź & Øre", "lodz ore"), ("Straße", "strasse"), ("Ænigma œuvre", "aenigma oeuvre"), ("Đường", "duong"),
     ("Ł\u0131k", "lik"), ("", ""), ("«!»", "")],
)  # fmt: skip
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert slug_of(text) == folded.replace(" ", "-")


def test_initials_and_apostrophes_have_more_than_one_spelling() -> None:
    assert set(spellings("J. R. Neill").split()) == {"j", "r", "neill", "jr"}
    assert set(spellings("O'Neill").split()) == {"o", "neill", "oneill"}
