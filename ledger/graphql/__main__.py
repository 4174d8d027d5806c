"""Prints the schema: `python -m ledger.graphql > schema.graphql`."""

import sys

from ledger.graphql.schema import make_schema

sys.stdout.write(make_schema(is_development=False).as_str() + "\n")
