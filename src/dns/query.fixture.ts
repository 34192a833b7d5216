/** Questions and answers as a test writes and reads them. */
import { addressOfBytes, formatAddress } from '../base/cidr.ts';
import { encodeName, TYPE } from './message.ts';
import type { Question } from './message.ts';
import { forward } from './upstream.ts';
import type { Transport } from './upstream.ts';

export interface Asked {
  readonly rcode: number;
  readonly truncated: boolean;
  readonly answers: readonly string[];
  readonly ttl: number;
  readonly raw: Buffer;
}

/** A query's message; with `size`, EDNS. */
export function queryMessage(name: string, type: number, { id = 4711, size, version = 0 }: { id?: number; size?: number; version?: number } = {}): Buffer {
  const header = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, size === undefined ? 0 : 1]);
  const opt = size === undefined ? Buffer.alloc(0) : Buffer.from([0, 0, TYPE.OPT, size >> 8, size & 255, 0, version, 0, 0, 0, 0]);
  return Buffer.concat([header, encodeName(name) ?? Buffer.from([0]), Buffer.from([0, type, 0, 1]), opt]);
}

export const questionOf = (name: string, type: number): Question => ({ name: name.toLowerCase(), type, class: 1 });

/** Reads a reply whose answers' owners are pointers, as ours are. */
export function readReply(message: Buffer): Asked {
  const count = message.readUInt16BE(6);
  let at = 12;
  while (message[at] !== 0) at += (message[at] ?? 0) + 1;
  at += 5;
  const answers: string[] = [];
  let ttl = -1;
  for (let index = 0; index < count; index += 1) {
    const type = message.readUInt16BE(at + 2);
    ttl = message.readUInt32BE(at + 6);
    const length = message.readUInt16BE(at + 10);
    const data = message.subarray(at + 12, at + 12 + length);
    answers.push(type === TYPE.PTR ? nameOf(data) : formatAddress(addressOfBytes(data)));
    at += 12 + length;
  }
  return { rcode: message.readUInt16BE(2) & 15, truncated: (message.readUInt16BE(2) & 0x200) !== 0, answers, ttl, raw: message };
}

function nameOf(data: Buffer): string {
  const labels: string[] = [];
  for (let at = 0; data[at] !== 0; at += (data[at] ?? 0) + 1) labels.push(data.toString('latin1', at + 1, at + 1 + (data[at] ?? 0)));
  return labels.join('.');
}

/** Asks from inside a namespace, as a container would. */
export async function askIn(netnsPath: string, name: string, { type = TYPE.A, transport = 'udp', totalMs = 5000 }: { type?: number; transport?: Transport; totalMs?: number } = {}): Promise<Asked> {
  const request = { message: queryMessage(name, type), question: questionOf(name, type), transport, netnsPath };
  const reply = await forward(request, [{ address: '127.0.0.11', from: 'container' }], { stepMs: totalMs, totalMs });
  if (reply === undefined) throw new Error(`no answer about ${name}`);
  return readReply(reply);
}
