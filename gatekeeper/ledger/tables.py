"""The tables as queries see them; `migrations` makes them."""

from __future__ import annotations

from sqlalchemy import Integer, Text, column, table

# One row: which ledger this is, of which version, and how to recognise its key.
about = table("ledger_about", column("ledger", Text), column("version", Integer), column("key_check", Text))

entries = table(
    "ledger_entries",
    column("number", Integer),
    column("time", Text),
    column("kind", Text),
    column("payload", Text),
    column("set_digest", Text),
    column("previous", Text),
    column("digest", Text),
    column("mac", Text),
)

# The pseudonyms of each unit set; a set that several runs used is here once.
units = table("ledger_units", column("set_digest", Text), column("unit", Integer), column("pseudonym", Text))
