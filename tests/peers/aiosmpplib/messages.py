"""aiosmpplib itself, as a producer and a reader of records.

    messages.py encode    prints a line of JSON for each message: its name, the record that
                          json_encode makes of it, and the body of the PDU that aiosmpplib would
                          send, where it sends one as the connector does
    messages.py decode    reads a line of JSON for each record and prints what json_decode, and
                          parse_receipt, make of it
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from aiosmpplib import (
    NPI, TON, OptionalParam, PhoneNumber, SmppDataCoding, SubmitSm, json_decode, json_encode,
)

try:
    from aiosmpplib import OptionalTag  # 0.6.4
except ImportError:
    OptionalTag = None
    from aiosmpplib import state

HEADER = 16
TO = PhoneNumber('41791234567', TON.INTERNATIONAL, NPI.ISDN)

NUMBERS = {
    'dest_addr_subunit': 3, 'dest_network_type': 1, 'dest_bearer_type': 2,
    'dest_telematics_id': 513, 'source_addr_subunit': 1, 'source_network_type': 2,
    'source_bearer_type': 1, 'source_telematics_id': 7, 'qos_time_to_live': 86400,
    'payload_type': 1, 'ms_msg_wait_facilities': 129, 'privacy_indicator': 2,
    'user_message_reference': 65535, 'user_response_code': 9, 'source_port': 5000,
    'destination_port': 5001, 'language_indicator': 3, 'callback_num_pres_ind': 5,
    'number_of_messages': 9, 'set_dpf': 1, 'more_messages_to_send': 1, 'display_time': 1,
    'sms_signal': 258, 'ms_validity': 1, 'its_reply_type': 4,
}
TEXTS = {
    'source_subaddress': 'ab', 'dest_subaddress': 'cd', 'callback_num_atag': 'Hi',
    'callback_num': '1234567', 'ussd_service_op': 'a', 'its_session_info': 'xy',
}
WORDS = {
    'iso2022_jp': '日本', 'iso2022jp': '日本', 'shift_jis': '日本', 'euc_kr': '한국',
    'iso8859_5': 'Привет', 'iso8859_8': 'שלום', 'latin_1': 'façade', 'ucs2': 'Ж €',
    'gsm0338': '{€} à', 'gsm0338_packed': 'hellohello',
}


def param(name, value):
    """An optional parameter, as either version makes it."""
    if OptionalTag:
        return OptionalParam(OptionalTag[name.upper()], value)
    return OptionalParam(getattr(state, name.upper()), value)


def messages():
    """Every message with its name, and whether its PDU is the connector's too."""
    plain = {'source': PhoneNumber('ACME', TON.ALPHANUMERIC), 'destination': TO}

    def made(name, same=True, **fields):
        fields = {**plain, 'short_message': 'Hello', 'log_id': name, **fields}
        return name, SubmitSm(**fields), same

    yield made('plain')
    yield made('extra', extra_data='any "text" – ü')
    yield made('nameless', log_id='')
    yield made('no-source', source=PhoneNumber(''))
    for ton in TON:
        yield made(f'ton-{ton.name}', source=PhoneNumber('1234', ton))
    for npi in NPI:
        yield made(f'npi-{npi.name}', destination=PhoneNumber('41791234567', TON.NATIONAL, npi))
    for coding in list(SmppDataCoding.__members__):
        if not coding.startswith('octet'):  # aiosmpplib asks for a codec of one's own
            text = WORDS.get(coding, 'Hello')
            yield made(f'encoding-{coding}', encoding=coding, short_message=text)
    yield made('auto-ucs2', short_message='Ж')
    yield made('payload', short_message='', message_payload='In a parameter')
    yield made('flags', esm_class=3, protocol_id=65, priority_flag=2, registered_delivery=17,
               replace_if_present_flag=1, sm_default_msg_id=7, service_type='WAP')
    yield made('ignored', encoding='ascii', short_message='aéb', error_handling='ignore')
    yield made('replaced', encoding='latin_1', short_message='aЖb', error_handling='replace')
    yield made('strict', False, encoding='ascii', short_message='aéb')
    yield made('relative', validity_period=timedelta(days=400, hours=6, seconds=7),
               schedule_delivery_time=timedelta(minutes=90))
    # A part of a second is left out by aiosmpplib, and counts as one with the connector.
    yield made('fraction', False, validity_period=timedelta(seconds=7.5))
    yield made('naive', validity_period=datetime(2031, 2, 3, 4, 5, 6))
    yield made('utc', schedule_delivery_time=datetime(2031, 2, 3, 4, 5, 6, tzinfo=timezone.utc))
    # aiosmpplib writes its offset, the connector UTC.
    east = timezone(timedelta(hours=5, minutes=30))
    yield made('east', False, validity_period=datetime(2031, 2, 3, 4, 5, 6, tzinfo=east))
    for name, value in {**NUMBERS, **TEXTS}.items():
        yield made(f'tlv-{name}', optional_params=[param(name, value)])
    yield made('tlv-alert', optional_params=[param('alert_on_message_delivery', True)])
    yield made('tlv-no-alert', optional_params=[param('alert_on_message_delivery', False)])
    sar = {'sar_msg_ref_num': 300, 'sar_total_segments': 2, 'sar_segment_seqnum': 1}
    yield made('tlv-sar', optional_params=[param(*one) for one in sar.items()])
    if not OptionalTag:
        yield made('tlv-vendor', optional_params=[OptionalParam(0x1401, 'vendor')])
    # What the SMSC of the test does with them.
    yield made('refused', False, short_message='refuse me')
    yield made('vendor', False, short_message='refuse me in your own way')
    yield made('silent', False, short_message='say nothing')
    # aiosmpplib puts up to 254 octets into short_message, the connector makes parts.
    yield made('long', False, short_message='x' * 300, auto_message_payload=True)
    yield made('long-in-parts', False, short_message='y' * 300, auto_message_payload=False)
    yield made('long-with-headers', False, short_message='z' * 300, esm_class=64,
               auto_message_payload=False)
    yield made('no-encoding', encoding='')


def encode():
    for name, message, same in messages():
        record = json_encode(message)  # first: pdu() may settle the encoding
        body = message.pdu()[HEADER:].hex() if same else None
        print(json.dumps({'name': name, 'record': record, 'body': body}))


def decode():
    for line in sys.stdin:
        message = json_decode(line)
        made = {
            'class': type(message).__name__,
            'status': message.command_status.name,
            'message_id': getattr(message, 'message_id', None),
        }
        if made['class'] == 'DeliverSm':
            receipt = message.parse_receipt()
            made.update(
                text=message.short_message, encoding=message.encoding,
                source=message.source.number, ton=message.source.ton.name,
                destination=message.destination.number, is_receipt=message.is_receipt(),
                receipt={key: str(value) for key, value in receipt.items()},
                params={int(one.tag): one.value for one in message.optional_params},
            )
            message.pdu()  # what was read can be written
        print(json.dumps(made))


if __name__ == '__main__':
    {'encode': encode, 'decode': decode}[sys.argv[1]]()
