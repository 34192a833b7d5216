/** Graylog's Extended Log Format 1.1: over UDP compressed and in chunks, over TCP with a zero byte after each message. */
import { createHash } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';
import { rfc3339Nano } from '../../base/clock.ts';
import { extraAttributes, targetTag } from '../../core/log/attributes.ts';
import type { LogSubject } from '../../core/log/attributes.ts';
import { gelfOptions } from '../../core/log/gelfOptions.ts';
import type { GelfOptions } from '../../core/log/gelfOptions.ts';
import type { LogConfig } from '../../core/log/values.ts';
import { joinHostPort } from '../../core/log/values.ts';
import type { LogMessage, LogTarget } from '../../core/ports/logTargets.ts';
import { UdpTarget } from './datagramTarget.ts';
import { StreamTarget } from './streamTarget.ts';

const LEVEL = { stdout: 6, stderr: 3 };
/** As Graylog's own libraries cut: fits into one frame of an Ethernet. */
const DATAGRAM_BYTES = 1420;
const CHUNK_HEADER = 12;
const MAX_CHUNKS = 128;

export function gelfTarget(config: LogConfig, subject: LogSubject): LogTarget {
  const options = gelfOptions(config);
  const extra = extraFields(config, subject);
  const address = `gelf ${options.kind}://${joinHostPort(options.host, options.port)}`;
  // An empty message is none to Graylog.
  const encode = (message: LogMessage): Buffer[] => (message.text === '' ? [] : [encodeGelf(message, subject.hostname, extra)]);
  if (options.kind === 'tcp') {
    const end = Buffer.from([0]);
    return new StreamTarget({ address, endpoint: { kind: 'tcp', host: options.host, port: options.port }, encode: (messages) => ({ bytes: Buffer.concat(messages.flatMap(encode).flatMap((bytes) => [bytes, end])) }) });
  }
  return new UdpTarget({ address, host: options.host, port: options.port, encode: (message) => encode(message).flatMap((bytes) => chunks(compress(bytes, options), chunkId(subject, message))) });
}

/** What every message of a container says (moby daemon/logger/gelf). */
export function extraFields(config: LogConfig, subject: LogSubject): Record<string, string> {
  return {
    _container_id: subject.id,
    _container_name: subject.name,
    _image_id: subject.imageId,
    _image_name: subject.imageName,
    _command: subject.command.join(' '),
    _tag: targetTag(config, subject),
    _created: rfc3339Nano(subject.createdNs),
    ...extraAttributes(config, subject, (name) => (name.startsWith('_') ? name : `_${name}`)),
  };
}

export const encodeGelf = (message: LogMessage, host: string, extra: Readonly<Record<string, string>>): Buffer =>
  Buffer.from(JSON.stringify({ version: '1.1', host, short_message: message.text, timestamp: Number(message.timeNs / 1_000_000n) / 1000, level: LEVEL[message.stream], ...extra }));

function compress(bytes: Buffer, { compression, level }: Pick<GelfOptions, 'compression' | 'level'>): Buffer {
  if (compression === 'none') return bytes;
  return compression === 'gzip' ? gzipSync(bytes, { level }) : deflateSync(bytes, { level });
}

/** Eight bytes that no other message of these minutes has. */
const chunkId = (subject: LogSubject, message: LogMessage): Buffer => createHash('sha256').update(`${subject.id} ${message.ordinal}`).digest().subarray(0, 8);

/** One datagram, or chunks of it. None if there would be too many for the format. */
export function chunks(bytes: Buffer, id: Buffer): Buffer[] {
  if (bytes.length <= DATAGRAM_BYTES) return [bytes];
  const payload = DATAGRAM_BYTES - CHUNK_HEADER;
  const count = Math.ceil(bytes.length / payload);
  if (count > MAX_CHUNKS) return [];
  return Array.from({ length: count }, (_, index) => Buffer.concat([Buffer.from([0x1e, 0x0f]), id, Buffer.from([index, count]), bytes.subarray(index * payload, (index + 1) * payload)]));
}
