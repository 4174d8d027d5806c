"""Files of rows, read a little at a time: CSV, JSON lines, Parquet."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TextIO

import msgspec

from ledger.domain.values import exact_number
from ledger.usage_import.mapping import Row

LINE_BYTES_MAX: Final = 1024 * 1024
DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
BROKEN: Final = (UnicodeDecodeError, EOFError, OSError, zlib.error)
"""What reading a file that is not whole, not packed or not text ends with."""
PARQUET_ROWS: Final = 20_000
"""How many rows of a Parquet file are in memory at once."""


class FileUnreadable(Exception):
    """The file cannot be read at all; the message says why and what would help."""


class BadRow(NamedTuple):
    """A row that cannot be read, and why."""

    why: str


class RowFile(NamedTuple):
    """A file's rows with their line numbers (of a Parquet file: row numbers), from 1.

    `columns` are those that the first row has. `size` and `done()` are in the same unit, bytes or rows. Rows of
    JSON lines that are CloudEvents already have `is_cloudevents`.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[int, Row | BadRow]]
    size: int
    done: Callable[[], int]
    is_cloudevents: bool = False


@contextmanager
def open_rows(path: Path) -> Iterator[RowFile]:
    """The rows of a file, by its name's ending: .csv, .tsv, .jsonl, .ndjson (each also .gz), .parquet.

    Raises `FileUnreadable`.
    """
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix == ".parquet" and not name.endswith(".gz"):
        _require_readable(path)
        yield _parquet(path)
        return
    if suffix not in DELIMITERS and suffix not in (".jsonl", ".ndjson"):
        raise FileUnreadable(
            f"{path} is of no known kind: its name must end in .csv, .tsv, .jsonl, .ndjson or .parquet."
        )
    _require_readable(path)
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        content = stack.enter_context(gzip.GzipFile(fileobj=raw)) if name.endswith(".gz") else raw
        size = path.stat().st_size
        try:
            if suffix in DELIMITERS:
                text = stack.enter_context(io.TextIOWrapper(content, encoding="utf-8-sig", newline=""))
                rows = _csv(text, DELIMITERS[suffix], size, raw.tell)
            else:
                rows = _lines(content, size, raw.tell)
        except BROKEN as fault:
            raise FileUnreadable(f"{path} cannot be read: {fault}.") from None
        yield rows


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as fault:
        raise FileUnreadable(f"{path} cannot be read: {fault.strerror or fault}.") from None


def _csv(text: TextIO, delimiter: str, size: int, done: Callable[[], int]) -> RowFile:
    csv.field_size_limit(LINE_BYTES_MAX)
    reader = csv.reader(text, delimiter=delimiter)
    columns = tuple(name.strip() for name in next(reader, []))
    if len(set(columns)) < len(columns) or not all(columns):
        raise FileUnreadable("The first line of the file must name each column, and none twice.")

    def rows() -> Iterator[tuple[int, Row | BadRow]]:
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as fault:
                yield reader.line_num, BadRow(f"the line cannot be read: {fault}")
                continue
            except BROKEN as fault:
                yield reader.line_num + 1, BadRow(f"from here on the file cannot be read: {fault}")
                return
            if len(cells) == len(columns):
                yield reader.line_num, dict(zip(columns, cells, strict=True))
            elif cells:
                yield reader.line_num, BadRow(f"it has {len(cells)} cells, the first line has {len(columns)}")

    return RowFile(columns, rows(), size, done)


def _lines(content: IO[bytes] | gzip.GzipFile, size: int, done: Callable[[], int]) -> RowFile:
    def rows() -> Iterator[tuple[int, Row | BadRow]]:
        line = 0
        while True:
            line += 1
            try:
                text = content.readline(LINE_BYTES_MAX)
            except BROKEN as fault:
                yield line, BadRow(f"from here on the file cannot be read: {fault}")
                return
            if not text:
                return
            if len(text) == LINE_BYTES_MAX and not text.endswith(b"\n"):
                yield line, BadRow(f"the line is longer than {LINE_BYTES_MAX} bytes")
                while (rest := content.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                    pass
            elif not text.isspace():
                yield line, _object(text)

    every = rows()
    first = next(every, None)
    columns = tuple(first[1]) if first is not None and isinstance(first[1], dict) else ()

    def all_rows() -> Iterator[tuple[int, Row | BadRow]]:
        if first is not None:
            yield first
        yield from every

    return RowFile(columns, all_rows(), size, done, is_cloudevents="specversion" in columns)


_object_decoder = msgspec.json.Decoder(dict[str, Any], float_hook=exact_number)


def _object(text: bytes) -> Row | BadRow:
    try:
        row: dict[str, Any] = _object_decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
        return BadRow(f"the line is no JSON object: {fault}")
    return row


def _parquet(path: Path) -> RowFile:
    try:
        import polars as pl
    except ModuleNotFoundError:
        raise FileUnreadable(
            "Parquet files need polars: install ledger[parquet], or convert the file to CSV."
        ) from None
    try:
        frame = pl.scan_parquet(path, glob=False)
        columns = tuple(frame.collect_schema().names())
        size = int(frame.select(pl.len()).collect().item())
    except pl.exceptions.PolarsError as fault:
        raise FileUnreadable(f"{path} is no readable Parquet file: {fault}.") from None
    seen = [0]

    def rows() -> Iterator[tuple[int, Row | BadRow]]:
        for start in range(0, size, PARQUET_ROWS):
            for row in frame.slice(start, PARQUET_ROWS).collect().iter_rows(named=True):
                seen[0] += 1
                yield seen[0], {name: _exact(value) for name, value in row.items()}

    return RowFile(columns, rows(), size, lambda: seen[0])


def _exact(value: object) -> object:
    """The value without floats: the shortest decimal that reads back as the same float; NaN stays, to be refused."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def row_text(row: Row | BadRow) -> object:
    """A row as JSON can hold it, for the list of refused rows."""
    if isinstance(row, BadRow):
        return None
    return json.loads(json.dumps(row, default=str))
