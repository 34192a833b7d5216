/**
 * Netlink messages and a synchronous socket for them. The kernel answers rtnetlink, nfnetlink and ctnetlink requests
 * within the send, so that reading the answers never waits; the receive timeout is a bound for the day it does.
 */
import { closeSync } from 'node:fs';
import { SyscallError, check, lastErrno, prototype } from './libc.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_RCVBUF = 8;
const RECEIVE_TIMEOUT_S = 5n;
const RECEIVE_BUFFER = 64 * 1024;
const SOCKET_BUFFER = 4 * 1024 * 1024;
const MSG_TRUNC = 0x20;

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
const HEADER = 16;

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

const socket = prototype<(domain: number, type: number, protocol: number) => number>('int socket(int domain, int type, int protocol)');
const setsockopt = prototype<(...args: [fd: number, level: number, name: number, value: Buffer, length: number]) => number>(
  'int setsockopt(int fd, int level, int name, const void *value, unsigned int length)',
);
const send = prototype<(fd: number, data: Buffer, length: number, flags: number) => number>(
  'intptr_t send(int fd, const void *data, size_t length, int flags)',
);
type AsyncSend = { async(fd: number, data: Buffer, length: number, flags: number, done: (error: Error | null, result: number | bigint) => void): void };
const recv = prototype<(fd: number, data: Buffer, length: number, flags: number) => number>(
  'intptr_t recv(int fd, _Out_ void *data, size_t length, int flags)',
);

const align = (length: number): number => (length + 3) & ~3;

/** One attribute: a number is written as u32 of the host's order (see `attr8`, `attr16be` for others), text with a final NUL. */
export function attr(type: number, value: Buffer | string | number): Buffer {
  const payload = typeof value === 'number' ? u32(value) : typeof value === 'string' ? Buffer.from(`${value}\0`) : value;
  const buffer = Buffer.alloc(align(4 + payload.length));
  buffer.writeUInt16LE(4 + payload.length, 0);
  buffer.writeUInt16LE(type, 2);
  payload.copy(buffer, 4);
  return buffer;
}

export const attr8 = (type: number, value: number): Buffer => attr(type, Buffer.from([value]));
export const attr16be = (type: number, value: number): Buffer => attr(type, Buffer.from([value >> 8, value & 255]));

export function attr32be(type: number, value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return attr(type, buffer);
}

/** An attribute of attributes. */
export const nested = (type: number, ...attributes: Buffer[]): Buffer => attr(type | NLA_F_NESTED, Buffer.concat(attributes));

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value >>> 0);
  return buffer;
}

export type Attributes = ReadonlyMap<number, Buffer>;

/** The attributes that stand in a buffer from an offset on; of a repeated one the last. */
export function parseAttributes(data: Buffer, from = 0): Attributes {
  const attributes = new Map<number, Buffer>();
  for (let offset = from; offset + 4 <= data.length;) {
    const length = data.readUInt16LE(offset);
    if (length < 4 || offset + length > data.length) break;
    attributes.set(data.readUInt16LE(offset + 2) & NLA_TYPE_MASK, data.subarray(offset + 4, offset + length));
    offset += align(length);
  }
  return attributes;
}

/** Text up to its NUL. */
export const text = (value: Buffer | undefined): string => value?.toString('utf8').replace(/\0[^]*$/, '') ?? '';

export interface Message {
  readonly type: number;
  readonly flags?: number;
  /** Fixed header of the message and its attributes. */
  readonly body: Buffer;
  /** Errnos (by name) that are no failure: what was asked for is so already. */
  readonly tolerate?: readonly string[];
  /** Said in the error instead of nothing but an errno. */
  readonly what?: string;
  /** No answer is asked for (nfnetlink's batch marks). */
  readonly silent?: boolean;
}

export interface Answer {
  readonly type: number;
  readonly body: Buffer;
}

/** A netlink socket of the namespace in which it was opened. */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(RECEIVE_BUFFER);
  #sequence = 0;

  constructor(protocol: number) {
    this.#fd = check('socket', socket()(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(RECEIVE_TIMEOUT_S);
    setsockopt()(this.#fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);
    setsockopt()(this.#fd, SOL_SOCKET, SO_RCVBUF, u32(SOCKET_BUFFER), 4);
  }

  /**
   * Sends all messages at once and waits for all answers. The kernel carries them out in order, and goes on after one
   * that failed; the first failure that is not tolerated is thrown.
   */
  transact(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    const first = this.#sequence + 1;
    this.#send(messages.map((message) => this.#encode(message, message.silent === true ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_ACK)));
    let failure: Error | undefined;
    const waiting = new Set<number>();
    messages.forEach((message, index) => {
      if (message.silent !== true) waiting.add(first + index);
    });
    while (waiting.size > 0) {
      for (const { sequence, type, body } of this.#receive()) {
        if (type !== NLMSG_ERROR) continue;
        const message = messages[sequence - first];
        // nfnetlink reports what is wrong with a whole batch under its mark, which asked for no answer.
        if (message === undefined) continue;
        waiting.delete(sequence);
        failure ??= failureOf(message, -body.readInt32LE(0));
        if (failure !== undefined && message.silent === true) throw failure;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /**
   * The same for one message whose work takes the kernel long (a link's removal waits for grace periods): it is sent
   * from a thread of the pool. Nothing else may be done with the socket meanwhile.
   */
  async transactSlowly(message: Message): Promise<void> {
    const data = this.#encode(message, NLM_F_REQUEST | NLM_F_ACK);
    const sequence = this.#sequence;
    await new Promise<void>((resolve, reject) => {
      (send() as unknown as AsyncSend).async(this.#fd, data, data.length, 0, (error, result) => {
        if (error !== null) reject(error);
        else if (Number(result) < 0) reject(new SyscallError(message.what ?? 'send', lastErrno()));
        else resolve();
      });
    });
    for (;;) {
      const answer = this.#receive().find((candidate) => candidate.sequence === sequence && candidate.type === NLMSG_ERROR);
      if (answer === undefined) continue;
      const failure = failureOf(message, -answer.body.readInt32LE(0));
      if (failure !== undefined) throw failure;
      return;
    }
  }

  /** One request with one answer. */
  ask(message: Message): Answer {
    const sequence = this.#sequence + 1;
    this.#send([this.#encode(message, NLM_F_REQUEST)]);
    for (;;) {
      for (const answer of this.#receive()) {
        if (answer.sequence !== sequence) continue;
        if (answer.type === NLMSG_ERROR) throw new SyscallError(message.what ?? 'netlink', -answer.body.readInt32LE(0));
        return { type: answer.type, body: Buffer.from(answer.body) };
      }
    }
  }

  /** All answers of a dump; one that changed while it was read is read again. */
  dump(message: Message): Answer[] {
    for (let attempt = 0; ; attempt += 1) {
      const result = this.#dumpOnce(message);
      if (!result.interrupted || attempt === 10) return result.answers;
    }
  }

  #dumpOnce(message: Message): { answers: Answer[]; interrupted: boolean } {
    const answers: Answer[] = [];
    let interrupted = false;
    const sequence = this.#sequence + 1;
    this.#send([this.#encode(message, NLM_F_REQUEST | NLM_F_DUMP)]);
    for (;;) {
      for (const answer of this.#receive()) {
        if (answer.sequence !== sequence) continue;
        interrupted ||= (answer.flags & NLM_F_DUMP_INTR) !== 0;
        if (answer.type === NLMSG_DONE) return { answers, interrupted };
        if (answer.type === NLMSG_ERROR) throw new SyscallError(message.what ?? 'netlink', -answer.body.readInt32LE(0));
        answers.push({ type: answer.type, body: Buffer.from(answer.body) });
      }
    }
  }

  #encode(message: Message, flags: number): Buffer {
    this.#sequence += 1;
    const buffer = Buffer.alloc(align(HEADER + message.body.length));
    buffer.writeUInt32LE(HEADER + message.body.length, 0);
    buffer.writeUInt16LE(message.type, 4);
    buffer.writeUInt16LE((message.flags ?? 0) | flags, 6);
    buffer.writeUInt32LE(this.#sequence, 8);
    message.body.copy(buffer, HEADER);
    return buffer;
  }

  #send(messages: Buffer[]): void {
    const data = Buffer.concat(messages);
    check('send', Number(send()(this.#fd, data, data.length, 0)));
  }

  #receive(): { type: number; flags: number; sequence: number; body: Buffer }[] {
    const length = Number(recv()(this.#fd, this.#buffer, this.#buffer.length, MSG_TRUNC));
    if (length < 0) throw new SyscallError('recv', lastErrno());
    if (length > this.#buffer.length) throw new Error(`netlink answer of ${length} bytes is too long`);
    const answers = [];
    for (let offset = 0; offset + HEADER <= length;) {
      const size = this.#buffer.readUInt32LE(offset);
      if (size < HEADER || offset + size > length) break;
      answers.push({
        type: this.#buffer.readUInt16LE(offset + 4),
        flags: this.#buffer.readUInt16LE(offset + 6),
        sequence: this.#buffer.readUInt32LE(offset + 8),
        body: this.#buffer.subarray(offset + HEADER, offset + size),
      });
      offset += align(size);
    }
    return answers;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function failureOf(message: Message, errno: number): Error | undefined {
  if (errno === 0) return undefined;
  const error = new SyscallError(message.what ?? 'netlink', errno);
  return message.tolerate?.includes(error.code) === true ? undefined : error;
}
