"""Bookrush on one bare machine: its services and roles as child processes, without Docker.

`manage.py demo`, the tests and the benchmarks start what they need from here. Linux first; macOS where wheels exist.
"""
