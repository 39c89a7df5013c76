// Records of kafka-smpp's topics as bytes and back: JSON, or Avro without a registry.
'use strict';
const fs = require('fs');
const path = require('path');
const avro = require('avsc');

const SCHEMAS = path.join(__dirname, '../../schemas');
const MARKER = Buffer.from([0xc3, 0x01]); // of Avro's single-object encoding

/** A schema's type, and its fingerprint as it stands in records: least significant octet first. */
function typeOf(file) {
  const text = JSON.parse(fs.readFileSync(path.join(SCHEMAS, file), 'utf8'));
  // Long numbers such as offsets and times in microseconds stay numbers: they are below 2^53.
  const type = avro.Type.forSchema(text, { wrapUnions: 'auto', registry: {} });
  return { type, print: rabin(canonical(text)) };
}

/** CRC-64-AVRO. */
function rabin(text) {
  const EMPTY = 0xc15d213aa4d7a795n;
  let print = EMPTY;
  for (const octet of Buffer.from(text, 'utf8')) {
    let low = (print ^ BigInt(octet)) & 0xffn;
    for (let bit = 0; bit < 8; bit += 1) low = (low >> 1n) ^ (EMPTY & -(low & 1n) & ((1n << 64n) - 1n));
    print = (print >> 8n) ^ low;
  }
  const octets = Buffer.alloc(8);
  octets.writeBigUInt64LE(print);
  return octets;
}

/** Avro's parsing canonical form. */
function canonical(schema, space = '') {
  if (typeof schema === 'string') {
    const primitive = /^(null|boolean|int|long|float|double|bytes|string)$/.test(schema);
    return JSON.stringify(primitive || schema.includes('.') || !space ? schema : `${space}.${schema}`);
  }
  if (Array.isArray(schema)) return `[${schema.map((one) => canonical(one, space)).join(',')}]`;
  if (!schema.name) {
    if (!schema.items && !schema.values) return canonical(schema.type, space);
    const inner = schema.items ? 'items' : 'values';
    return `{"type":"${schema.type}","${inner}":${canonical(schema[inner], space)}}`;
  }
  const within = schema.namespace ?? space;
  const parts = [`"name":${canonical(schema.name, within)}`, `"type":"${schema.type}"`];
  if (schema.fields) {
    const field = (one) => `{"name":"${one.name}","type":${canonical(one.type, within)}}`;
    parts.push(`"fields":[${schema.fields.map(field).join(',')}]`);
  }
  if (schema.symbols) parts.push(`"symbols":${JSON.stringify(schema.symbols)}`);
  return `{${parts.join(',')}}`;
}

const all = fs.readdirSync(SCHEMAS).filter((file) => file.endsWith('.avsc')).map(typeOf);
const submitSm = typeOf('SubmitSm.avsc');

/** A SubmitSm as bytes. */
exports.write = (message, format) => {
  if (format === 'json') return Buffer.from(JSON.stringify(message));
  return Buffer.concat([MARKER, submitSm.print, submitSm.type.toBuffer(message)]);
};

/** An event as an object. */
exports.read = (value, format) => {
  if (format === 'json') return JSON.parse(value.toString());
  const found = all.find((one) => one.print.equals(value.subarray(2, 10)));
  if (!MARKER.equals(value.subarray(0, 2)) || !found) {
    throw new Error(`not written with a schema of ${SCHEMAS}`);
  }
  return found.type.fromBuffer(value.subarray(10));
};
