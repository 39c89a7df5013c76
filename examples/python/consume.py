"""Prints what became of messages, one event a line: results, errors, receipts.

    pip install -r requirements.txt
    python consume.py                                    # for ever
    python consume.py --log-id order-17 --until-final    # until its receipt, or its error
"""

import argparse
import base64
import json
from datetime import datetime

from confluent_kafka import Consumer

import records

args = argparse.ArgumentParser()
args.add_argument("--bootstrap", default="localhost:9092")
args.add_argument("--group", default="example")
args.add_argument("--topics", default="sms.responses,sms.errors,sms.receipts")
args.add_argument("--format", choices=["json", "avro"], default="json")
args.add_argument("--log-id", help="only events of this message")
args.add_argument("--until-final", action="store_true", help="end with its last event")
args = args.parse_args()


def plain(value):
    """What JSON has no type for."""
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode()


def is_last(event):
    """Whether nothing follows: no receipt comes for what was not accepted."""
    if event["type"] == "DeliveryReceipt":
        return event["final"]
    return event["terminal"] and not event.get("accepted")


consumer = Consumer({
    "bootstrap.servers": args.bootstrap,
    "group.id": args.group,
    "auto.offset.reset": "earliest",
    # Without it, results of transactions that were aborted are seen too.
    "isolation.level": "read_committed",
})
consumer.subscribe(args.topics.split(","))
try:
    while True:
        record = consumer.poll(1.0)
        if record is None:
            continue
        if record.error():
            raise SystemExit(record.error())
        event = records.read(record.value(), args.format)
        if args.log_id and event.get("log_id") != args.log_id:
            continue
        print(json.dumps(event, default=plain), flush=True)
        if args.until_final and is_last(event):
            break
finally:
    consumer.close()
