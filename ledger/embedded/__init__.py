"""Postgres and Redis from wheels, for one machine that has neither: the demo, development and the
tests.
"""
