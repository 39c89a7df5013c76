// An SMSC on node-smpp, on a loopback port it prints first. Prints what happens as lines of
// JSON. Account: esme / secret. Message ids are UUIDs and receipts carry them in TLVs only.
// Some destinations have a meaning: 1000 answers with an inbound message, 2000 is throttled
// three times, 3000 is rejected, 5000 drops the connection instead of answering, 6000 is out of
// reach: its messages wait until they are cancelled, and can be queried and replaced like all
// others.
'use strict';
const { randomUUID } = require('crypto');
const smpp = require('smpp');

const say = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const receivers = new Set();
const ENROUTE = 1, DELIVERED = 2, DELETED = 4;
const states = new Map();
let sessions = 0;
let throttled = 0;

const server = smpp.createServer((session) => {
  const id = String(++sessions);
  session.on('error', (error) => say('failed', { session: id, why: String(error) }));
  session.on('close', () => {
    receivers.delete(session);
    say('closed', { session: id });
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => session.send(pdu.response(), () => session.close()));
  for (const mode of ['transceiver', 'transmitter', 'receiver']) {
    session.on(`bind_${mode}`, (pdu) => {
      const accepted = pdu.system_id === 'esme' && pdu.password === 'secret';
      say('bind', { session: id, system_id: pdu.system_id, mode, accepted });
      if (accepted && mode !== 'transmitter') receivers.add(session);
      const command_status = accepted ? smpp.ESME_ROK : smpp.ESME_RINVPASWD;
      session.send(pdu.response({ command_status, system_id: 'node-smpp' }));
    });
  }
  session.on('submit_sm', (pdu) => submit(session, id, pdu));
  session.on('query_sm', (pdu) => query(session, pdu));
  session.on('replace_sm', (pdu) => replace(session, pdu));
  session.on('cancel_sm', (pdu) => cancel(session, pdu));
});

function query(session, pdu) {
  const { message_id } = pdu;
  say('query', { message_id, source: pdu.source_addr });
  const message_state = states.get(message_id);
  if (!message_state) return refuse(session, pdu, smpp.ESME_RQUERYFAIL);
  const final_date = message_state === ENROUTE ? '' : new Date(Date.UTC(2026, 0, 2, 3, 4, 5));
  session.send(pdu.response({ message_id, message_state, final_date }));
}

function replace(session, pdu) {
  const octets = pdu.short_message.toString('hex');
  say('replace', { message_id: pdu.message_id, source: pdu.source_addr, octets });
  if (states.get(pdu.message_id) !== ENROUTE) return refuse(session, pdu, smpp.ESME_RREPLACEFAIL);
  session.send(pdu.response());
}

function cancel(session, pdu) {
  say('cancel', { message_id: pdu.message_id, source: pdu.source_addr });
  if (states.get(pdu.message_id) !== ENROUTE) return refuse(session, pdu, smpp.ESME_RCANCELFAIL);
  states.set(pdu.message_id, DELETED);
  session.send(pdu.response());
}

function refuse(session, pdu, command_status) {
  session.send(pdu.response({ command_status }));
}

function submit(session, id, pdu) {
  const to = pdu.destination_addr;
  const message_id = randomUUID();
  let status = smpp.ESME_ROK;
  if (to === '2000' && throttled++ < 3) status = smpp.ESME_RTHROTTLED;
  if (to === '3000') status = smpp.ESME_RINVDSTADR;
  const body = pdu.short_message.message;
  say('submit', {
    session: id,
    source: pdu.source_addr,
    destination: to,
    text: Buffer.isBuffer(body) ? body.toString('hex') : body,
    esm_class: pdu.esm_class,
    data_coding: pdu.data_coding,
    registered_delivery: pdu.registered_delivery,
    status,
    message_id,
  });
  if (to === '5000') return session.destroy();
  session.send(pdu.response({ command_status: status, message_id }));
  if (status !== smpp.ESME_ROK) return;
  states.set(message_id, to === '6000' ? ENROUTE : DELIVERED);
  const back = { source_addr: to, destination_addr: pdu.source_addr };
  if (pdu.registered_delivery & 1 && to !== '6000') {
    const tlvs = { receipted_message_id: message_id, message_state: 2 };
    const receipt = { ...back, ...tlvs, esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT, short_message: '' };
    setTimeout(() => deliver('receipt', session, receipt, message_id), 100);
  }
  if (to === '1000') {
    const { udh = [], message } = pdu.short_message;
    // A user data header comes as a list of its elements and goes as a whole.
    const elements = Buffer.concat(udh);
    const whole = Buffer.concat([Buffer.from([elements.length]), elements]);
    const short_message = udh.length ? { udh: whole, message } : message;
    setTimeout(() => deliver('inbound', session, { ...back, short_message }, ''), 50);
  }
}

function deliver(what, from, fields, message_id) {
  const again = (outcome) => {
    say(what, { message_id, outcome });
    setTimeout(() => deliver(what, from, fields, message_id), 500);
  };
  const session = receivers.has(from) ? from : receivers.values().next().value;
  if (!session) return again('no receiver is bound');
  const lost = setTimeout(() => again('no response'), 5000);
  session.deliver_sm(fields, (response) => {
    clearTimeout(lost);
    if (response.command_status) return again(`status ${response.command_status}`);
    say(what, { message_id, outcome: 'acknowledged' });
  });
}

server.listen(0, '127.0.0.1', () => say('listening', { port: server.address().port }));
