/** Fluentd and Fluent Bit, by the forward protocol (version 1): a batch is one event stream in forward mode. */
import { extraAttributes, targetTag } from '../../core/log/attributes.ts';
import type { LogSubject } from '../../core/log/attributes.ts';
import { fluentdOptions } from '../../core/log/fluentdOptions.ts';
import type { FluentdAddress } from '../../core/log/fluentdOptions.ts';
import type { LogConfig } from '../../core/log/values.ts';
import { joinHostPort } from '../../core/log/values.ts';
import { DeliveryError } from '../../core/ports/logTargets.ts';
import type { LogMessage, LogTarget } from '../../core/ports/logTargets.ts';
import { EventTime, Packer } from './msgpack.ts';
import { DEFAULT_TIMEOUT_MS, StreamTarget } from './streamTarget.ts';

/** An answer is a map with one short text. */
const MAX_ACK_BYTES = 1024;

export function fluentdTarget(config: LogConfig, subject: LogSubject): LogTarget {
  const options = fluentdOptions(config);
  const { address, requestAck } = options;
  const fixed = { container_id: subject.id, container_name: `/${subject.name}` };
  const record = { tag: targetTag(config, subject), fixed, extra: extraAttributes(config, subject), subSecond: options.subSecondPrecision };
  return new StreamTarget({
    address: `fluentd ${nameOf(address)}`,
    endpoint: address,
    timeoutMs: options.writeTimeoutMs > 0 ? options.writeTimeoutMs : DEFAULT_TIMEOUT_MS,
    encode: (messages) => {
      const chunk = requestAck ? chunkId(subject, messages) : undefined;
      return { bytes: encodeEvents(messages, record, chunk), ...(chunk === undefined ? {} : { answered: (received: Buffer) => isAck(received, chunk) }) };
    },
  });
}

const nameOf = (address: FluentdAddress): string => (address.kind === 'unix' ? `unix://${address.path}` : `${address.kind}://${joinHostPort(address.host, address.port)}`);

/** The same for the same messages, so that a receiver may tell a batch that it had already. */
const chunkId = (subject: LogSubject, messages: readonly LogMessage[]): string =>
  Buffer.from(`${subject.id.slice(0, 12)}:${messages[0]?.ordinal ?? 0}+${messages.length}`).toString('base64');

export interface EventRecord {
  readonly tag: string;
  readonly fixed: Readonly<Record<string, string>>;
  readonly extra: Readonly<Record<string, string>>;
  /** Times with nanoseconds rather than seconds. */
  readonly subSecond: boolean;
}

/** `[tag, [[time, record], …], {chunk}]`. */
export function encodeEvents(messages: readonly LogMessage[], { tag, fixed, extra, subSecond }: EventRecord, chunk: string | undefined): Buffer {
  if (messages.length === 0) return Buffer.alloc(0);
  const packer = new Packer();
  packer.list(chunk === undefined ? 2 : 3);
  packer.add(tag);
  packer.list(messages.length);
  for (const message of messages) {
    packer.list(2);
    packer.add(subSecond ? new EventTime(message.timeNs) : Number(message.timeNs / 1_000_000_000n));
    packer.add({ ...fixed, source: message.stream, log: message.text, ...extra, ...partialFields(message) });
  }
  if (chunk !== undefined) packer.add({ chunk });
  return packer.take();
}

function partialFields({ partial }: LogMessage): Record<string, string> {
  return partial === undefined ? {} : { partial_message: 'true', partial_id: partial.id, partial_ordinal: String(partial.ordinal), partial_last: String(partial.last) };
}

/** `{"ack": chunk}`, whichever of MessagePack's forms its text has. Anything else is no fluentd. */
export function isAck(received: Buffer, chunk: string): boolean {
  const text = Buffer.from(chunk);
  const at = received.indexOf(text);
  if (at >= 0 && received[0] === 0x81 && received.includes('ack') && received.length === at + text.length) return true;
  if (received.length > MAX_ACK_BYTES || (received.length > 0 && received[0] !== 0x81)) throw new DeliveryError('the answer is no acknowledgement');
  return false;
}
