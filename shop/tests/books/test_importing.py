"""S4: the catalogue from ONIX and from tables; what cannot be used is refused in words, and nothing else is lost."""

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devtools.testing.shop.storefront import a_book
from events.catalogue import BookUpdated
from inventory.models import Stock
from kafka_bridge import testing
from shop.books.importing import importer
from shop.books.importing import onix as onix_reader
from shop.books.search import index as search_index
from shop.books.search import searching
from shop.books.search.searching import SearchRequest
from shop.models import AuditEntry, Book, Category

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.shop]
HEAD = '<?xml version="1.0"?><ONIXMessage release="3.0" xmlns="http://ns.editeur.org/onix/3.0/reference"><Header/>'
ISBN, OTHER = "9780261103252", "9786041085718"
PRODUCT = """
<Product>
  <RecordReference>{name}</RecordReference><NotificationType>03</NotificationType>
  <ProductIdentifier><ProductIDType>01</ProductIDType><IDValue>x</IDValue></ProductIdentifier>
  <ProductIdentifier><ProductIDType>15</ProductIDType><IDValue>{isbn}</IDValue></ProductIdentifier>
  <DescriptiveDetail>
    <ProductForm>{form}</ProductForm>
    <Collection><CollectionType>10</CollectionType><TitleDetail><TitleType>01</TitleType>
      <TitleElement><TitleElementLevel>02</TitleElementLevel><TitleText>Tales of the Sea</TitleText></TitleElement>
      <TitleElement><TitleElementLevel>01</TitleElementLevel><PartNumber>2</PartNumber></TitleElement>
    </TitleDetail></Collection>
    <TitleDetail><TitleType>01</TitleType><TitleElement><TitleElementLevel>01</TitleElementLevel>
      <TitlePrefix>The</TitlePrefix><TitleWithoutPrefix>{title}</TitleWithoutPrefix><Subtitle>A Novel</Subtitle>
    </TitleElement></TitleDetail>
    <Contributor><SequenceNumber>2</SequenceNumber><ContributorRole>A01</ContributorRole>
      <NamesBeforeKey>Ines</NamesBeforeKey><KeyNames>Duarte</KeyNames></Contributor>
    <Contributor><SequenceNumber>1</SequenceNumber><ContributorRole>A01</ContributorRole>
      <PersonNameInverted>Nguyễn, Lan</PersonNameInverted></Contributor>
    <Contributor><SequenceNumber>3</SequenceNumber><ContributorRole>B06</ContributorRole>
      <PersonName>Trans Lator</PersonName></Contributor>
    <Language><LanguageRole>01</LanguageRole><LanguageCode>vie</LanguageCode></Language>
    <Extent><ExtentType>00</ExtentType><ExtentValue>320</ExtentValue><ExtentUnit>03</ExtentUnit></Extent>
    <Measure><MeasureType>08</MeasureType><Measurement>1.25</Measurement>
      <MeasureUnitCode>lb</MeasureUnitCode></Measure>
    <Subject><SubjectSchemeIdentifier>93</SubjectSchemeIdentifier><SubjectCode>FBA</SubjectCode></Subject>
  </DescriptiveDetail>
  <CollateralDetail>
    <TextContent><TextType>02</TextType><Text>Short.</Text></TextContent>
    <TextContent><TextType>03</TextType><Text textformat="05"><p>Salt &amp; wind.</p><p>And a <b>lamp</b>.</p></Text>
    </TextContent>
  </CollateralDetail>
  <PublishingDetail><Publisher><PublishingRole>01</PublishingRole><PublisherName>Harbour</PublisherName></Publisher>
    <PublishingDate><PublishingDateRole>01</PublishingDateRole><Date>20240501</Date></PublishingDate></PublishingDetail>
  <ProductSupply><SupplyDetail><ProductAvailability>{state}</ProductAvailability>
    <Price><PriceType>01</PriceType><PriceAmount>9.00</PriceAmount><CurrencyCode>USD</CurrencyCode></Price>
    <Price><PriceType>02</PriceType><PriceAmount>11.00</PriceAmount><CurrencyCode>EUR</CurrencyCode></Price>
    <Price><PriceType>02</PriceType><PriceAmount>{price}</PriceAmount><CurrencyCode>USD</CurrencyCode></Price>
  </SupplyDetail></ProductSupply>
</Product>"""


@pytest.fixture(autouse=True)
def shelf() -> Category:
    """The only one."""
    return Category.objects.create(slug="fiction", name="Fiction")


def onix_names() -> list[tuple[str, str]]:
    """Short tags, and what they stand for."""
    return list(onix_reader._REFERENCE.items())


def product(**fields: str) -> str:
    """One record of an ONIX message."""
    usual = {"name": "r1", "isbn": ISBN, "form": "BC", "title": "Salt Road", "state": "20", "price": "12.50"}
    return PRODUCT.format(**usual | fields)


def onix(folder: Path, *products: str, head: str = HEAD) -> Path:
    """A message with these products."""
    path = folder / "books.xml"
    path.write_text(f"{head}{''.join(products)}</ONIXMessage>", encoding="utf-8")
    return path


def table(folder: Path, text: str) -> Path:
    """A table with these lines."""
    path = folder / "books.csv"
    path.write_text(text, encoding="utf-8")
    return path


def load(*arguments: Any, code: int = 0) -> dict[str, Any]:
    """The command's report, and the exit code that it had."""
    out, ended = StringIO(), 0
    try:
        call_command("import_books", *map(str, arguments), "--json", stdout=out)
    except SystemExit as left:
        ended = int(str(left.code))
    assert ended == code, out.getvalue()
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def counts(report: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """New, changed, unchanged, withdrawn, refused."""
    new, changed, unchanged, withdrawn = (report[name] for name in ("new", "changed", "unchanged", "withdrawn"))
    return new, changed, unchanged, withdrawn, len(report["refused"])


# -- ONIX -------------------------------------------------------------------------------------------------
def test_a_record_becomes_a_book_that_is_stated_and_found(tmp_path: Path) -> None:
    assert counts(load("--onix", onix(tmp_path, product()), "--subject", "FB=fiction")) == (1, 0, 0, 0, 0)
    book = Book.objects.get()
    assert (book.isbn, book.title, book.author) == (ISBN, "The Salt Road: A Novel", "Lan Nguyễn and Ines Duarte")
    assert (book.price_minor, book.pages, book.year, book.publisher) == (1250, 320, 2024, "Harbour")
    assert (book.series, book.series_number, book.format, book.language) == ("Tales of the Sea", 2, "paperback", "vi")
    assert book.weight_grams == 567, "of 1.25 pounds"
    assert book.blurb == "Salt & wind.\n\nAnd a lamp."
    assert (book.is_listed, book.category.slug, Stock.objects.exists()) == (True, "fiction", False)
    assert [event.sku for event in testing.stated(BookUpdated)] == [ISBN]  # type: ignore[attr-defined]
    assert [found.isbn for found in searching.results(SearchRequest.from_query({"q": "lamp nguyen"})).page] == [ISBN]


def test_short_tags_say_the_same(tmp_path: Path) -> None:
    """As `onix._REFERENCE` has them; checked against the reference names of the same record."""
    text = HEAD.replace("/reference", "/short").replace("ONIXMessage", "ONIXmessage") + product() + "</ONIXmessage>"
    for short, name in onix_names():
        text = (
            text.replace(f"<{name}>", f"<{short}>")
            .replace(f"</{name}>", f"</{short}>")
            .replace(f"<{name} ", f"<{short} ")
        )
    path = tmp_path / "short.xml"
    path.write_text(text, encoding="utf-8")
    assert counts(load("--onix", path, "--shelf", "fiction")) == (1, 0, 0, 0, 0)
    assert Book.objects.values_list("title", "author", "price_minor", "language").get() == (
        "The Salt Road: A Novel", "Lan Nguyễn and Ines Duarte", 1250, "vi",
    )  # fmt: skip


def test_again_changes_nothing_and_a_new_price_only_the_price(tmp_path: Path) -> None:
    load("--onix", onix(tmp_path, product()), "--shelf", "fiction")
    Book.objects.update(category=Category.objects.create(slug="sea", name="The Sea"))
    assert counts(load("--onix", onix(tmp_path, product()))) == (0, 0, 1, 0, 0)
    assert len(testing.stated(BookUpdated)) == 1
    assert counts(load("--onix", onix(tmp_path, product(price="13")))) == (0, 1, 0, 0, 0)
    last = testing.stated(BookUpdated)[-1]
    assert (last.was_price_minor, last.price_minor, last.changed) == (1250, 1300, ("price_minor",))  # type: ignore[attr-defined]
    assert Book.objects.get().category.slug == "sea", "staff had moved it"
    assert AuditEntry.objects.filter(what="book changed", subject=ISBN).count() == 1


def test_a_partial_record_and_a_withdrawal_change_what_they_speak_of(tmp_path: Path) -> None:
    load("--onix", onix(tmp_path, product()), "--shelf", "fiction")
    head, _, rest = product(state="40").partition("<DescriptiveDetail>")
    partial = head + rest.partition("</DescriptiveDetail>")[2]
    assert counts(load("--onix", onix(tmp_path, partial))) == (0, 1, 0, 0, 0)
    assert Book.objects.values_list("title", "is_listed").get() == ("The Salt Road: A Novel", False)
    Book.objects.update(is_listed=True)
    gone = product().replace("<NotificationType>03", "<NotificationType>05")
    assert counts(load("--onix", onix(tmp_path, gone))) == (0, 0, 0, 1, 0)
    assert Book.objects.values_list("title", "is_listed").get() == ("The Salt Road: A Novel", False)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (product(isbn="9780261103253"), "is no ISBN: look at its last digit"),
        (product(form="ED"), "Its form 'ED' is none that is sold here"),
        (product(price="12.505"), "is no price in USD"),
        (product(price="0"), "is no price in USD"),
        (product(title="Salt\u200bRoad"), "title: "),
        (product(title="S" * 300), "title: "),
        (product().replace("320", "many"), "'many' is no number of pages"),
        (product().replace("vie<", "xxx<"), "language: Enter a language code"),
        (product().replace("<CurrencyCode>USD", "<CurrencyCode>GBP"), "It is new, and has no price"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_used_is_refused_alone(tmp_path: Path, record: str, reason: str) -> None:
    path = onix(tmp_path, record.replace(">r1<", ">bad<"), product(isbn=OTHER))
    report = load("--onix", path, "--shelf", "fiction", "--refused", tmp_path / "refused.csv", code=1)
    assert counts(report) == (1, 0, 0, 0, 1)
    [refused] = report["refused"]
    assert refused["place"] == "bad"
    assert reason in refused["reason"]
    with (tmp_path / "refused.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [refused]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<html/>", "is no ONIX"),
        ('<ONIXMessage release="2.1"><Product/></ONIXMessage>', "ask for release 3"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><ONIXMessage release="3.0">&b;</ONIXMessage>', "document type"),
        ("not xml", "is no XML"),
    ],
)
def test_a_file_that_is_no_onix_is_refused_whole(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(CommandError, match=words) as refusal:
        call_command("import_books", "--onix", str(path), stdout=StringIO())
    assert refusal.value.returncode == 2


def test_what_was_read_before_the_file_broke_off_stays(tmp_path: Path) -> None:
    path = onix(tmp_path, product(), product(isbn=OTHER), product(name="broken"))
    path.write_text(path.read_text()[:-40])
    out = StringIO()
    with pytest.raises(CommandError, match="is no XML from there on"):
        call_command("import_books", "--onix", str(path), "--shelf", "fiction", stdout=out)
    assert "Books: 2 new" in out.getvalue()
    assert set(Book.objects.values_list("isbn", flat=True)) == {ISBN, OTHER}


def test_books_are_counted_once_they_are_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL goes away in the second batch."""
    monkeypatch.setattr(importer, "BATCH", 1)
    put = search_index.put

    def put_once(books: Any) -> None:
        monkeypatch.setattr(search_index, "put", fail)
        put(books)

    def fail(books: Any) -> None:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(search_index, "put", put_once)
    out = StringIO()
    with pytest.raises(CommandError, match="PostgreSQL cannot be reached: the connection is lost") as refusal:
        call_command(
            "import_books",
            "--onix",
            str(onix(tmp_path, product(), product(isbn=OTHER))),
            "--shelf",
            "fiction",
            stdout=out,
        )
    assert refusal.value.returncode == 3
    assert "Books: 1 new, 0 changed" in out.getvalue()
    assert Book.objects.count() == 1


# -- Tables -----------------------------------------------------------------------------------------------
def test_a_table_adds_and_changes(tmp_path: Path) -> None:
    known = a_book(price_minor=1000)
    path = table(
        tmp_path,
        "\ufeffISBN;Title;Author;Price;Shelf;Year;Pages;For_sale\n"
        f"978-0-261-10325-2;The Salt Road;Ines Duarte;12.50;fiction;2024;320;yes\n;;;;;;;\n"
        f"{known.isbn};;;8;;;;no\n",
    )
    assert counts(load("--csv", path)) == (1, 1, 0, 0, 0)
    known.refresh_from_db()
    assert (known.price_minor, known.is_listed, known.title) == (800, False, a_title(known))
    assert Book.objects.get(isbn=ISBN).pages == 320


def a_title(book: Book) -> str:
    """As it was."""
    return Book.objects.values_list("title", flat=True).get(pk=book.pk)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("123,T,A,12,fiction,2024,100", "is no ISBN"),
        (f"{ISBN},T,A,twelve,fiction,2024,100", "is no price in USD: write it like 12.50"),
        (f"{ISBN},T,A,NaN,fiction,2024,100", "is no price"),
        (f"{ISBN},T,A,12,fiction,2024,99999", "is no number of pages"),
        (f"{ISBN},T,A,12,nowhere,2024,100", "There is no shelf 'nowhere': fiction"),
        (f"{ISBN},T,A,12,,2024,100", "nothing says which shelf"),
        (f"{ISBN},T,,12,fiction,2024,", "It is new, and has no author, no pages"),
        (f"{ISBN},T,A,12,fiction,2024,100,more", "It has 8 cells, and there are 7 columns"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_alone(tmp_path: Path, line: str, reason: str) -> None:
    text = f"isbn,title,author,price,shelf,year,pages\n{OTHER},T,A,12,fiction,2024,100\n{line}\n"
    report = load("--csv", table(tmp_path, text), code=1)
    assert counts(report) == (1, 0, 0, 0, 1)
    assert report["refused"][0]["place"] == "line 3"
    assert reason in report["refused"][0]["reason"]


def test_a_rehearsal_says_all_and_leaves_nothing(tmp_path: Path) -> None:
    path = table(tmp_path, f"isbn,title,author,price,year,pages\n{ISBN},T,A,12,2024,100\n1,T,A,1,1,1\n")
    assert counts(load("--csv", path, "--shelf", "fiction", "--dry-run", code=1)) == (1, 0, 0, 0, 1)
    assert (Book.objects.count(), testing.stated()) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--csv", "{path}", "--shelf", "nowhere"], "There is no shelf 'nowhere'. Shelves: fiction"),
        (["--csv", "{path}", "--subject", "F=fiction"], "--subject goes with --onix"),
        (["--onix", "{path}", "--subject", "fiction"], "write it like FB=fiction"),
        (["--csv", "/nowhere/books.csv"], "is no file"),
        (["--csv", "{path}"], "Unknown: colour"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, arguments: list[str], words: str) -> None:
    path = table(tmp_path, "isbn,colour\n")
    with pytest.raises(CommandError, match=words) as refusal:
        call_command("import_books", *(each.format(path=path) for each in arguments), stdout=StringIO())
    assert refusal.value.returncode == 2


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_at_all_are_told_apart_from_books(tmp_path: Path, content: bytes, has_head: bool) -> None:
    """Nothing but a report or a refusal comes of it."""
    for option, head in (("--csv", b"isbn,title,author,price,shelf,year,pages\n"), ("--onix", HEAD.encode())):
        path = tmp_path / "any"
        path.write_bytes((head if has_head else b"") + content)
        try:
            call_command("import_books", option, str(path), stdout=StringIO())
        except CommandError as refusal:
            assert refusal.returncode == 2
        except SystemExit as left:
            assert left.code == 1
    assert not Book.objects.exists()
