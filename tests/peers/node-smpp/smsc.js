// An SMSC on node-smpp, on a loopback port it prints first. Prints what happens as lines of
// JSON. Account: esme / secret. Message ids are UUIDs and receipts carry them in TLVs only.
// Some destinations have a meaning: 1000 answers with an inbound message, 2000 is throttled
// three times, 3000 is rejected, 5000 drops the connection instead of answering.
'use strict';
const { randomUUID } = require('crypto');
const smpp = require('smpp');

const say = (event, fields) => console.log(JSON.stringify({ event, ...fields }));
const receivers = new Set();
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
});

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
  const back = { source_addr: to, destination_addr: pdu.source_addr };
  if (pdu.registered_delivery & 1) {
    const tlvs = { receipted_message_id: message_id, message_state: 2 };
    const receipt = { ...back, ...tlvs, esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT, short_message: '' };
    setTimeout(() => deliver('receipt', session, receipt, message_id), 100);
  }
  if (to === '1000') {
    setTimeout(() => deliver('inbound', session, { ...back, short_message: body }, ''), 50);
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
