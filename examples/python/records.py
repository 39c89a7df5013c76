"""Records of kafka-smpp's topics as bytes and back: JSON, or Avro without a registry."""

import io
import json
from pathlib import Path

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

SCHEMAS = Path(__file__).parents[2] / "schemas"
MARKER = b"\xc3\x01"  # of Avro's single-object encoding; the schema's fingerprint follows


def schema_of(file):
    """A schema, and its fingerprint as it stands in records."""
    text = json.loads(file.read_text())
    digits = fingerprint(to_parsing_canonical_form(text), "CRC-64-AVRO")
    return bytes.fromhex(digits), parse_schema(text)


ALL = dict(map(schema_of, sorted(SCHEMAS.glob("*.avsc"))))
SUBMIT_SM = schema_of(SCHEMAS / "SubmitSm.avsc")


def write(message, form):
    """A SubmitSm as bytes."""
    if form == "json":
        return json.dumps(message).encode()
    print_, schema = SUBMIT_SM
    out = io.BytesIO()
    schemaless_writer(out, schema, message)
    return MARKER + print_ + out.getvalue()


def read(value, form):
    """An event as a dict."""
    if form == "json":
        return json.loads(value)
    marker, print_, datum = value[:2], value[2:10], value[10:]
    if marker != MARKER or print_ not in ALL:
        raise ValueError(f"not written with a schema of {SCHEMAS}: {value[:10].hex()}")
    return schemaless_reader(io.BytesIO(datum), ALL[print_], None)
