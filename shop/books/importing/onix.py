"""Books from ONIX for Books 3, the book trade's own format (EDItEUR), with reference names or short tags.

# Note [What is taken]
The codes are those of EDItEUR's lists, given with each. Of several titles, prices or texts the first one of the best
kind counts. A record without a description block is a partial update (its other blocks count), one with notification
type 05 says that the book is withdrawn. Files with a document type are refused: ONIX 3 needs none, and what one may
define can fill the memory.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from babel.core import get_global
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from shop.books import isbn as isbns
from shop.books.importing.entries import (
    BLURB_MOST,
    WEIGHT_MOST,
    BookEntry,
    NotReadable,
    Refused,
    Unusable,
    number_of,
    price_of,
)

# Short tags, of those elements that are looked at.
_REFERENCE = {
    "a001": "RecordReference", "a002": "NotificationType", "productidentifier": "ProductIdentifier",
    "b221": "ProductIDType", "b244": "IDValue", "descriptivedetail": "DescriptiveDetail", "b012": "ProductForm",
    "titledetail": "TitleDetail", "b202": "TitleType", "titleelement": "TitleElement", "x409": "TitleElementLevel",
    "b203": "TitleText", "b030": "TitlePrefix", "b031": "TitleWithoutPrefix", "b029": "Subtitle",
    "x410": "PartNumber", "collection": "Collection", "x329": "CollectionType", "contributor": "Contributor",
    "b034": "SequenceNumber", "b035": "ContributorRole", "b036": "PersonName", "b037": "PersonNameInverted",
    "b039": "NamesBeforeKey", "b040": "KeyNames", "b047": "CorporateName", "language": "Language",
    "b253": "LanguageRole", "b252": "LanguageCode", "extent": "Extent", "b218": "ExtentType", "b219": "ExtentValue",
    "b220": "ExtentUnit", "measure": "Measure", "x315": "MeasureType", "c094": "Measurement",
    "c095": "MeasureUnitCode", "subject": "Subject", "b067": "SubjectSchemeIdentifier", "b069": "SubjectCode",
    "collateraldetail": "CollateralDetail", "textcontent": "TextContent", "x426": "TextType", "d104": "Text",
    "publishingdetail": "PublishingDetail", "publisher": "Publisher", "b291": "PublishingRole",
    "b081": "PublisherName", "imprint": "Imprint", "b079": "ImprintName", "publishingdate": "PublishingDate",
    "x448": "PublishingDateRole", "b306": "Date", "productsupply": "ProductSupply", "supplydetail": "SupplyDetail",
    "j396": "ProductAvailability", "price": "Price", "x462": "PriceType", "j151": "PriceAmount",
    "j152": "CurrencyCode", "product": "Product",
}  # fmt: skip
# List 150.
_FORMATS = {"BB": "hardback", "BC": "paperback", "BE": "spiral", "BH": "board"}
# List 65: available, or to be had within days.
_FOR_SALE = {"20", "21", "22", "23"}
# List 50.
_GRAMS = {"gr": Decimal(1), "kg": Decimal(1000), "oz": Decimal("28.349523125"), "lb": Decimal("453.59237")}
# List 58: with tax for consumers before without, the fixed one before the recommended.
_PRICE_TYPES = ("04", "02", "42", "03", "01", "41")
# List 153: the description, then the short one.
_TEXT_TYPES = ("03", "02")
_WITHDRAWN = "05"  # list 1
_ISBN_TYPES = ("15", "03", "02")  # list 5: ISBN-13, GTIN-13, ISBN-10
_MARKUP = re.compile(r"<[^<>]*>")
_BLOCK = {"p", "br", "li", "div", "ul", "ol", "h1", "h2", "h3", "h4"}


def read(path: Path, *, currency: str, shelves: Mapping[str, str]) -> Iterator[BookEntry | Refused]:
    """Each product as an entry; `shelves` says which shelf the subjects with a prefix are on, by prefix.

    Raises:
        NotReadable: it is no ONIX 3.
    """
    number, root = 0, None
    try:
        for event, element in iterparse(path, events=("start", "end"), forbid_dtd=True):
            if root is None:
                root = element
                _check_root(path, root)
            elif event == "end" and _name(element) == "Product":
                number += 1
                yield _entry(number, element, currency, shelves)
                root.clear()
    except DefusedXmlException as error:
        raise NotReadable(
            f"{path} has a document type or entities of its own: ONIX 3 needs none, take them out"
        ) from error
    except ParseError as error:
        raise NotReadable(f"{path} is no XML from there on: {error}") from error


def _check_root(path: Path, root: Element) -> None:
    if _name(root).lower() != "onixmessage":
        raise NotReadable(f"{path} is no ONIX: it begins with {_name(root)[:40]!r}, not with ONIXMessage")
    release = root.get("release", "")
    if not release.startswith("3"):
        raise NotReadable(f"{path} says that it is ONIX {release[:10] or '2'}: ask for release 3")


def _entry(number: int, product: Element, currency: str, shelves: Mapping[str, str]) -> BookEntry | Refused:
    place, isbn = _text(product, "RecordReference")[:60] or f"record {number}", ""
    try:
        isbn = _isbn(product)
        if _text(product, "NotificationType") == _WITHDRAWN:
            return BookEntry(place=place, isbn=isbn, is_withdrawn=True)
        fields = {
            **_description(product),
            **_publishing(product),
            **_offer(product, currency),
        }
        return BookEntry(place=place, isbn=isbn, fields=fields, shelf=_shelf(product, shelves))
    except Unusable as error:
        return Refused(place, isbn, str(error))


# -- The parts of a record --------------------------------------------------------------------------------
def _isbn(product: Element) -> str:
    by_type = {_text(each, "ProductIDType"): _text(each, "IDValue") for each in _all(product, "ProductIdentifier")}
    found = next((by_type[kind] for kind in _ISBN_TYPES if kind in by_type), "")
    isbn = isbns.typed(found)
    if not isbn:
        raise Unusable(f"{found[:40]!r} is no ISBN: look at its last digit" if found else "It has no ISBN")
    return isbn


def _description(product: Element) -> dict[str, Any]:
    detail = _one(product, "DescriptiveDetail")
    if detail is None:
        return {}
    fields: dict[str, Any] = {"title": _title(detail), "author": _author(detail), **_series(detail)}
    if form := _text(detail, "ProductForm"):
        if form not in _FORMATS:
            raise Unusable(f"Its form {form[:10]!r} is none that is sold here: {', '.join(sorted(_FORMATS))}")
        fields["format"] = _FORMATS[form]
    for measure in _all(detail, "Measure"):
        if _text(measure, "MeasureType") == "08":  # list 48: the weight of one copy
            grams = _GRAMS.get(_text(measure, "MeasureUnitCode"))
            if grams is not None:
                fields.setdefault("weight_grams", _weight(_text(measure, "Measurement"), grams))
    for language in _all(detail, "Language"):
        if _text(language, "LanguageRole") == "01":  # list 22: language of the text
            fields.setdefault("language", _language(_text(language, "LanguageCode")))
    for kind in ("00", "05", "06", "11"):  # list 23: pages, from those of the main text to all
        for extent in _all(detail, "Extent"):
            if (_text(extent, "ExtentType"), _text(extent, "ExtentUnit")) == (kind, "03"):
                fields.setdefault("pages", number_of(_text(extent, "ExtentValue"), "number of pages"))
    return {name: value for name, value in fields.items() if value != ""}


def _weight(text: str, grams: Decimal) -> int:
    weight = round(Decimal(text) * grams) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text, re.ASCII) else 0
    if not 1 <= weight <= WEIGHT_MOST:
        raise Unusable(f"{text[:40]!r} is no weight of a book: at most {WEIGHT_MOST // 1000} kg")
    return weight


def _title(detail: Element) -> str:
    for title in _all(detail, "TitleDetail"):
        if _text(title, "TitleType") == "01":  # list 15: the distinctive title
            for element in _all(title, "TitleElement"):
                if _text(element, "TitleElementLevel") == "01":  # list 149: of the product itself
                    return _joined(_title_of(element), _text(element, "Subtitle"), ": ")
    return ""


def _title_of(element: Element) -> str:
    prefix, rest = _text(element, "TitlePrefix"), _text(element, "TitleWithoutPrefix")
    return _text(element, "TitleText") or _joined(prefix, rest, " ")


def _author(detail: Element) -> str:
    people = sorted(_all(detail, "Contributor"), key=lambda each: _text(each, "SequenceNumber").rjust(4))
    # List 17: A01 wrote it; where nobody did, whoever is named first.
    wrote = [each for each in people if any(role.text == "A01" for role in _all(each, "ContributorRole"))]
    names = [name for each in wrote or people[:1] if (name := _name_of(each))]
    return ", ".join([*names[:-2], " and ".join(names[-2:])]) if names else ""


def _name_of(contributor: Element) -> str:
    before, key = _text(contributor, "NamesBeforeKey"), _text(contributor, "KeyNames")
    last, _, first = _text(contributor, "PersonNameInverted").partition(", ")
    return (
        _text(contributor, "PersonName")
        or _joined(before, key, " ")
        or _joined(first, last, " ")
        or _text(contributor, "CorporateName")
    )


def _series(detail: Element) -> dict[str, Any]:
    for collection in _all(detail, "Collection"):
        for title in _all(collection, "TitleDetail"):
            elements = {_text(each, "TitleElementLevel"): each for each in _all(title, "TitleElement")}
            if name := _title_of(elements["02"]) if "02" in elements else "":  # list 149: of the collection
                number = next(
                    (_text(each, "PartNumber") for each in elements.values() if _text(each, "PartNumber")), ""
                )
                return {"series": name} | (
                    {"series_number": int(number)} if re.fullmatch(r"[0-9]{1,4}", number) else {}
                )
    return {}


def _language(code: str) -> str:
    # ISO 639-2, with three letters; books here have the shortest code.
    return str(get_global("language_aliases").get(code.lower(), code.lower()))[:8]


def _publishing(product: Element) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for detail in _all(product, "PublishingDetail"):
        publishers = [_text(each, "PublisherName") for each in _all(detail, "Publisher")]
        imprints = [_text(each, "ImprintName") for each in _all(detail, "Imprint")]
        if name := next(filter(None, [*publishers, *imprints]), ""):
            fields["publisher"] = name
        for date in _all(detail, "PublishingDate"):
            if _text(date, "PublishingDateRole") == "01":  # list 163: of publication
                fields.setdefault("year", number_of(_text(date, "Date")[:4], "year"))
    for detail in _all(product, "CollateralDetail"):
        texts = {_text(each, "TextType"): each for each in reversed(_all(detail, "TextContent"))}
        if content := next((texts[kind] for kind in _TEXT_TYPES if kind in texts), None):
            fields["blurb"] = _plain(next(iter(_all(content, "Text")), content))
    return fields


def _offer(product: Element, currency: str) -> dict[str, Any]:
    supplies = [detail for supply in _all(product, "ProductSupply") for detail in _all(supply, "SupplyDetail")]
    fields: dict[str, Any] = {}
    if states := [_text(each, "ProductAvailability") for each in supplies]:
        fields["is_listed"] = any(state in _FOR_SALE for state in states)
    prices = {
        _text(price, "PriceType"): _text(price, "PriceAmount")
        for supply in reversed(supplies)
        for price in reversed(_all(supply, "Price"))
        if _text(price, "CurrencyCode") in (currency, "")
    }
    if amount := next((prices[kind] for kind in _PRICE_TYPES if kind in prices), ""):
        fields["price_minor"] = price_of(amount, currency)
    return fields


def _shelf(product: Element, shelves: Mapping[str, str]) -> str:
    codes = [
        _text(each, "SubjectCode") for detail in _all(product, "DescriptiveDetail") for each in _all(detail, "Subject")
    ]
    fitting = [prefix for prefix in shelves if any(code.startswith(prefix) for code in codes)]
    return shelves[max(fitting, key=len)] if fitting else ""


# -- XML --------------------------------------------------------------------------------------------------
def _name(element: Element) -> str:
    name = str(element.tag).rpartition("}")[2]
    return _REFERENCE.get(name, name)


def _all(element: Element, name: str) -> list[Element]:
    return [child for child in element if _name(child) == name]


def _one(element: Element, name: str) -> Element | None:
    return next(iter(_all(element, name)), None)


def _text(element: Element, name: str) -> str:
    found = _one(element, name)
    return " ".join("".join(found.itertext()).split()) if found is not None else ""


def _joined(first: str, second: str, between: str) -> str:
    return f"{first}{between}{second}" if first and second else first or second


def _plain(element: Element) -> str:
    """A text with markup, as elements or escaped, in paragraphs without any."""
    found = "".join(_pieces(element))
    if "<" in found:
        found = html.unescape(_MARKUP.sub(_space_for, found))
    lines = (" ".join(line.split()) for line in found.split("\n"))
    return "\n\n".join(line for line in lines if line)[:BLURB_MOST]


def _pieces(element: Element) -> Iterable[str]:
    yield element.text or ""
    for child in element:
        around = "\n" if _name(child).lower() in _BLOCK else ""
        yield around
        yield from _pieces(child)
        yield around
        yield child.tail or ""


def _space_for(tag: "re.Match[str]") -> str:
    name = re.match(r"</?\s*([a-zA-Z0-9]+)", tag.group())
    return "\n" if name and name.group(1).lower() in _BLOCK else ""
