"""The shop's services and roles as child processes on one machine, without Docker.

`manage.py demo`, the tests, the drills and the benchmarks start what they need from here. Runs on Linux, and on macOS
if there are wheels.
"""
