// Puts a message onto an outbound topic.
//
//   npm install
//   node produce.js --to 491701234567 --text 'Your code is 1234' --log-id order-17
'use strict';
const { parseArgs } = require('util');
const { Kafka } = require('kafkajs');
const records = require('./records');

const { values: args } = parseArgs({
  options: {
    bootstrap: { type: 'string', default: 'localhost:9092' },
    topic: { type: 'string', default: 'sms.outbound' },
    format: { type: 'string', default: 'json' },
    to: { type: 'string' },
    text: { type: 'string' },
    'log-id': { type: 'string' },
  },
});
const message = {
  log_id: args['log-id'],
  destination: { number: args.to },
  short_message: args.text,
};

(async () => {
  const kafka = new Kafka({ clientId: 'example', brokers: args.bootstrap.split(','), logLevel: 1 });
  // Idempotent, so that a retry does not put the message there twice.
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  const [at] = await producer.send({
    topic: args.topic,
    // Messages to one recipient keep their order.
    messages: [{ key: args.to, value: records.write(message, args.format) }],
  });
  console.log(JSON.stringify({ topic: at.topicName, partition: at.partition, offset: Number(at.baseOffset) }));
  await producer.disconnect();
})().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
