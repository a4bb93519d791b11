"""One's own data: tables from files, arrays or pandas, checked, split and standardised; and what a network keeps."""

from jaxmlp.tables.preparation import Preparation, preparation_of
from jaxmlp.tables.reading import BUNDLED, Columns, read_columns
from jaxmlp.tables.table import Table, fingerprint, load_table, shares, table_of

__all__ = [
    "BUNDLED", "Columns", "Preparation", "Table", "fingerprint", "load_table", "preparation_of", "read_columns",
    "shares", "table_of",
]  # fmt: skip
