// Prints what became of messages, one event a line: results, errors, receipts.
//
//   npm install
//   node consume.js                                    # for ever
//   node consume.js --log-id order-17 --until-final    # until its receipt, or its error
'use strict';
const { parseArgs } = require('util');
const { Kafka } = require('kafkajs');
const records = require('./records');

const { values: args } = parseArgs({
  options: {
    bootstrap: { type: 'string', default: 'localhost:9092' },
    group: { type: 'string', default: 'example' },
    topics: { type: 'string', default: 'sms.responses,sms.errors,sms.receipts' },
    format: { type: 'string', default: 'json' },
    'log-id': { type: 'string' },
    'until-final': { type: 'boolean', default: false },
  },
});

/** Whether nothing follows: no receipt comes for what was not accepted. */
function isLast(event) {
  if (event.type === 'DeliveryReceipt') return event.final;
  return event.terminal && !event.accepted;
}

(async () => {
  const kafka = new Kafka({ clientId: 'example', brokers: args.bootstrap.split(','), logLevel: 1 });
  // Only what is committed is read; that is kafkajs' default, and must stay so.
  const consumer = kafka.consumer({ groupId: args.group, readUncommitted: false });
  await consumer.connect();
  await consumer.subscribe({ topics: args.topics.split(','), fromBeginning: true });
  let end;
  const ended = new Promise((resolve) => { end = resolve; });
  await consumer.run({
    eachMessage: async ({ message }) => {
      const event = records.read(message.value, args.format);
      if (args['log-id'] && event.log_id !== args['log-id']) return;
      console.log(JSON.stringify(event));
      if (args['until-final'] && isLast(event)) end();
    },
  });
  await ended;
  await consumer.disconnect();
})().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
