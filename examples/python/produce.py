"""Puts a message onto an outbound topic.

    pip install -r requirements.txt
    python produce.py --to 491701234567 --text 'Your code is 1234' --log-id order-17
"""

import argparse
import json

from confluent_kafka import Producer

import records

args = argparse.ArgumentParser()
args.add_argument("--bootstrap", default="localhost:9092")
args.add_argument("--topic", default="sms.outbound")
args.add_argument("--format", choices=["json", "avro"], default="json")
args.add_argument("--to", required=True)
args.add_argument("--text", required=True)
args.add_argument("--log-id", required=True, help="names the message in its events")
args = args.parse_args()

message = {
    "log_id": args.log_id,
    "destination": {"number": args.to},
    "short_message": args.text,
}
failed = []


def delivered(error, record):
    if error:
        failed.append(error)
    else:
        position = {"topic": record.topic(), "partition": record.partition()}
        print(json.dumps({**position, "offset": record.offset()}))


# Idempotent, so that a retry does not put the message there twice.
producer = Producer({"bootstrap.servers": args.bootstrap, "enable.idempotence": True})
producer.produce(
    args.topic,
    key=args.to,  # messages to one recipient keep their order
    value=records.write(message, args.format),
    headers={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
    on_delivery=delivered,
)
producer.flush()
if failed:
    raise SystemExit(f"not delivered: {failed[0]}")
