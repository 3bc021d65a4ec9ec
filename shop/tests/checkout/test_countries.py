"""Countries of the checkout."""

from shop.checkout import countries


def test_every_code_has_a_name_in_each_language() -> None:
    for language in ("en", "vi"):
        choices = countries.choices(language)
        assert {code for code, _ in choices} == countries.CODES
        assert len({name for _, name in choices}) == len(choices) == 249
        assert all(name and name != code for code, name in choices)


def test_names_are_those_of_every_day() -> None:
    names = [countries.name_of(code) for code in ("DE", "GB", "HK", "CI", "VN", "TR", "XX", "")]
    assert names == ["Germany", "United Kingdom", "Hong Kong", "Ivory Coast", "Vietnam", "Türkiye", "XX", ""]
    assert countries.name_of("DE", "vi") == "Đức"


def test_the_list_is_in_the_sequence_of_the_alphabet() -> None:
    names = [name for _, name in countries.choices()]
    assert names[:3] == ["Afghanistan", "Åland Islands", "Albania"]
    assert names[-1] == "Zimbabwe"
