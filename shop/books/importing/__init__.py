"""The catalogue from a file, as publishers and wholesalers send it: ONIX for Books 3, or a table (CSV).

`onix` and `tables` read a file into what each entry says of a book, or why it says nothing usable. `importer` puts that
into the catalogue, and tells what was new, what changed and what was refused. Who runs it: `manage.py import_books`.
"""
