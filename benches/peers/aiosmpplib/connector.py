"""A connector between Kafka and an SMSC, as one writes it with aiosmpplib and aiokafka.

    connector.py BOOTSTRAP_SERVERS SMSC_PORT OUTBOUND RESPONSES RECEIPTS

Records of OUTBOUND are submitted, each at least once; the answers go to RESPONSES, and receipts,
matched to their message by an id kept in memory, to RECEIPTS. An offset is committed when Kafka has
the results of all records before it.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections import deque
from datetime import datetime, timezone

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiosmpplib import (
    ESME, NPI, TON, AbstractBroker, AbstractCorrelator, AbstractHook, BindTransceiverResp, DeliverSm,
    GenericNack, PhoneNumber, SmppCommandStatus, SubmitSm, SubmitSmResp,
)

# aiosmpplib has no window of its own: so many requests without an answer.
WINDOW = int(os.environ.get('PEER_WINDOW', 500))
# Records that wait; above it partitions are paused.
MOST_WAITING = 10_000
COMMIT_SECONDS = 1.0
DRAIN_SECONDS = 5.0
RESPONSE_SECONDS = 10.0
# How often, and in which steps, a receipt that comes before its response is looked up again.
LOOKUPS, LOOKUP_SECONDS = 50, 0.1
BUSY = (SmppCommandStatus.ESME_RTHROTTLED, SmppCommandStatus.ESME_RMSGQFUL)


def number(text):
    if text.startswith('+'):
        return PhoneNumber(text[1:], TON.INTERNATIONAL, NPI.ISDN)
    return PhoneNumber(text)


class Outgoing(SubmitSm):
    """A message, with the record that it comes from."""

    def __init__(self, record, value):
        super().__init__(
            source=number(value['source']),
            destination=number(value['destination']),
            short_message=value['short_message'],
            registered_delivery=value.get('registered_delivery', 1),
            # Done in C by Python itself; aiosmpplib's own GSM alphabet goes character by character.
            encoding='latin_1',
        )
        self.key = record.key
        self.extra = value.get('extra_data')
        self.submitted_at = None
        self.sent_at = 0.0


class Record:
    """What of a partition is not committed."""

    __slots__ = ('offset', 'finished')

    def __init__(self, offset):
        self.offset = offset
        self.finished = False


class Connector(AbstractBroker, AbstractCorrelator, AbstractHook, ConsumerRebalanceListener):
    def __init__(self, bootstrap, port, outbound, responses, receipts):
        self.outbound, self.responses, self.receipts = outbound, responses, receipts
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=f'connector-of-{outbound}',
            enable_auto_commit=False,
            auto_offset_reset='earliest',
        )
        self.producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks='all', linger_ms=10, max_batch_size=131072,
        )
        self.esme = ESME(
            smsc_host='127.0.0.1', smsc_port=port, system_id='bench', password='secret',
            log_level='ERROR', broker=self, hook=self, correlator=self,
        )
        self.waiting = deque()
        self.wake = asyncio.Event()
        self.pending = {}  # by sequence number: Outgoing
        self.others = {}  # by sequence number: enquire_link and so on
        self.sent = {}  # by message_id: Outgoing
        self.open = {}  # by partition: deque of Record

    # What aiosmpplib sends.

    async def enqueue(self, message):
        self.waiting.append(message)
        self.wake.set()

    async def dequeue(self):
        while not self.waiting or len(self.pending) >= WINDOW:
            self.wake.clear()
            await self.wake.wait()
        return self.waiting.popleft()

    async def sending(self, message, pdu, client_id):
        # The answer may be there before put() is called.
        if isinstance(message, Outgoing):
            message.submitted_at = datetime.now(timezone.utc)
            message.sent_at = time.monotonic()
            self.pending[message.sequence_num] = message

    async def put(self, message):
        if not isinstance(message, Outgoing):
            self.others[message.sequence_num] = message

    async def send_error(self, message, error, client_id):
        # A message that cannot be sent; what else went wrong is a lost connection.
        self.pending.pop(message.sequence_num, None)
        if isinstance(error, ValueError):
            await self.respond(message, None, SmppCommandStatus.ESME_ROK, str(error))
        else:
            self.waiting.appendleft(message)

    async def expire(self):
        """Requests without an answer are sent again: at least once."""
        while True:
            await asyncio.sleep(1.0)
            before = time.monotonic() - RESPONSE_SECONDS
            old = [key for key, it in self.pending.items() if it.sent_at < before]
            for key in old:
                await self.expired(self.pending.pop(key))

    async def expired(self, message):
        await self.enqueue(message)

    # What aiosmpplib receives.

    async def get(self, response):
        found = self.pending.pop(response.sequence_num, None)
        if found is None:
            return self.others.pop(response.sequence_num, None)
        self.wake.set()
        response.outgoing = found
        return found

    async def put_delivery(self, message_id, message):
        self.sent[message_id] = message

    async def get_delivery(self, receipt):
        return self.sent.get(receipt.parse_receipt().get('id'))

    async def received(self, message, pdu, client_id):
        if isinstance(message, (SubmitSmResp, GenericNack)):
            outgoing = getattr(message, 'outgoing', None)
            if outgoing is None:
                return
            status = message.command_status
            if status in BUSY:
                self.waiting.appendleft(outgoing)
            else:
                await self.respond(outgoing, getattr(message, 'message_id', None), status)
        elif isinstance(message, DeliverSm):
            if message.is_receipt():  # messages from phones are no part of this
                await self.receipt(message.parse_receipt())
        elif isinstance(message, BindTransceiverResp):
            # What was under way on the session before this one: at least once.
            self.waiting.extendleft(reversed(self.pending.values()))
            self.pending.clear()

    async def respond(self, outgoing, message_id, status, error=None):
        event = {
            'type': 'SubmitSmResp',
            'message_id': message_id,
            'command_status': int(status),
            'submitted_at': outgoing.submitted_at,
            'error': error,
            'extra_data': outgoing.extra,
        }
        done = await self.producer.send(self.responses, orjson.dumps(event), key=outgoing.key)
        done.add_done_callback(lambda done: self.finish(outgoing.record, done))

    async def receipt(self, receipt, lookups=LOOKUPS):
        message_id, stat = receipt.get('id'), receipt.get('stat')
        outgoing = self.sent.get(message_id)
        if outgoing is None and lookups:
            again = asyncio.get_running_loop().create_task
            asyncio.get_running_loop().call_later(
                LOOKUP_SECONDS, lambda: again(self.receipt(receipt, lookups - 1)))
            return
        if stat not in ('ENROUTE', 'ACCEPTD'):
            self.sent.pop(message_id, None)
        event = {
            'type': 'DeliveryReceipt',
            'message_id': message_id,
            'correlated': outgoing is not None,
            'stat': stat,
            'err': receipt.get('err'),
            'extra_data': outgoing and outgoing.extra,
        }
        done = await self.producer.send(
            self.receipts, orjson.dumps(event), key=outgoing and outgoing.key)
        done.add_done_callback(self.check)

    # aiosmpplib's segments: every message fits into one.

    def get_cumulated_status(self, ref_num):
        return 0

    async def get_segmented(self, smpp_seq_num, remove=False):
        return None, 0

    async def put_delivery_segmented(self, deliver_sm):
        return deliver_sm

    # Kafka.

    @staticmethod
    def check(done):
        """If Kafka gave a record up: whoever starts this again begins where nothing is lost."""
        if error := done.exception():
            print(f'not written: {error!r}', file=sys.stderr)
            os._exit(1)

    def finish(self, record, done):
        self.check(done)
        record.finished = True

    async def consume(self):
        paused = False
        due = time.monotonic() + COMMIT_SECONDS
        while True:
            batches = await self.consumer.getmany(timeout_ms=100, max_records=2000)
            for partition, records in batches.items():
                held = self.open.setdefault(partition, deque())
                for record in records:
                    held.append(one := Record(record.offset))
                    await self.take(record, one)
            if len(self.waiting) > MOST_WAITING and not paused:
                paused = True
                self.consumer.pause(*self.consumer.assignment())
            elif len(self.waiting) < MOST_WAITING / 2 and paused:
                paused = False
                self.consumer.resume(*self.consumer.paused())
            if time.monotonic() > due:
                due = time.monotonic() + COMMIT_SECONDS
                await self.commit(list(self.open))

    async def take(self, record, one):
        try:
            message = Outgoing(record, orjson.loads(record.value))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            done = await self.producer.send(
                self.responses,
                orjson.dumps({'type': 'SubmitSmResp', 'error': repr(error)}),
                key=record.key,
            )
            done.add_done_callback(lambda done: self.finish(one, done))
            return
        message.record = one
        message.partition = TopicPartition(record.topic, record.partition)
        await self.enqueue(message)

    async def commit(self, partitions):
        offsets = {}
        for partition in partitions:
            held = self.open.get(partition, ())
            while held and held[0].finished:
                offsets[partition] = held.popleft().offset + 1
        if offsets:
            await self.consumer.commit(offsets)

    def on_partitions_assigned(self, assigned):
        pass

    async def on_partitions_revoked(self, revoked):
        """What is under way ends before its partition goes."""
        self.waiting = deque(it for it in self.waiting if it.partition not in revoked)
        end = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < end:
            if not any(it.partition in revoked for it in self.pending.values()):
                break
            await asyncio.sleep(0.01)
        await self.producer.flush()
        await self.commit(revoked)
        for partition in revoked:
            self.open.pop(partition, None)

    async def run(self):
        await self.producer.start()
        await self.consumer.start()
        self.consumer.subscribe([self.outbound], listener=self)
        stop = asyncio.Event()
        for which in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(which, stop.set)
        tasks = [asyncio.create_task(it) for it in (
            self.esme.start(), self.consume(), self.expire(), stop.wait())]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        tasks[1].cancel()
        await self.on_partitions_revoked(self.consumer.assignment())
        await self.consumer.stop()
        await self.esme.stop()
        await self.producer.stop()


async def main():
    bootstrap, port, outbound, responses, receipts = sys.argv[1:]
    await Connector(bootstrap, int(port), outbound, responses, receipts).run()


if __name__ == '__main__':
    # What lives long is looked at less often.
    gc.set_threshold(100_000, 50, 50)
    uvloop.run(main())
