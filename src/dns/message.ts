/**
 * DNS messages (RFC 1035, 6891), as far as a resolver for containers needs them: one question is read, answers of three
 * types are written; what is forwarded passes as it came. What is read comes from containers and from the network: every
 * read is bounded, and no compression pointer is ever followed.
 */

export const TYPE = { A: 1, PTR: 12, AAAA: 28, OPT: 41, ANY: 255 } as const;
export const CLASS_IN = 1;
export const RCODE = { ok: 0, malformed: 1, failure: 2, noSuchName: 3, notImplemented: 4, refused: 5, badVersion: 16 } as const;

const HEADER = 12;
const QR = 0x8000;
const OPCODE = 0x7800;
const TC = 0x0200;
const RD = 0x0100;
const RA = 0x0080;
const CD = 0x0010;
const MAX_NAME = 255;
const PLAIN_UDP = 512;
/** More than this in one datagram is cut up on the way. */
const MAX_UDP = 4096;
export const MAX_TCP = 65_535;

export interface Question {
  /** Lower case, no dot at the end; a dot within a label is escaped. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

export interface Query {
  readonly id: number;
  readonly flags: number;
  readonly question: Question;
  /** The question as it came, so that its spelling comes back. */
  readonly rawQuestion: Buffer;
  readonly edns: { readonly size: number; readonly version: number } | undefined;
}

/** What a datagram or frame turned out to be: `reject` is an answer that can be sent at once. */
export type Received = { readonly kind: 'query'; readonly query: Query } | { readonly kind: 'reject'; readonly reply: Buffer } | { readonly kind: 'ignore' };

export interface Answer {
  readonly type: number;
  readonly ttl: number;
  readonly data: Buffer;
}

class Malformed extends Error {}

/** Reads what a client sent. What is no query at all gets no answer, so that two resolvers never talk to each other for ever. */
export function receive(message: Buffer): Received {
  if (message.length < HEADER || (message.readUInt16BE(2) & QR) !== 0) return { kind: 'ignore' };
  const reject = (rcode: number): Received => ({ kind: 'reject', reply: headerOnly(message, rcode) });
  if ((message.readUInt16BE(2) & OPCODE) !== 0) return reject(RCODE.notImplemented);
  if (message.readUInt16BE(4) !== 1) return reject(RCODE.malformed);
  try {
    const { question, end } = readQuestion(message);
    const query: Query = {
      id: message.readUInt16BE(0),
      flags: message.readUInt16BE(2),
      question,
      rawQuestion: message.subarray(HEADER, end),
      edns: readEdns(message, end),
    };
    return { kind: 'query', query };
  } catch (error) {
    if (error instanceof Malformed) return reject(RCODE.malformed);
    throw error;
  }
}

function headerOnly(message: Buffer, rcode: number): Buffer {
  const reply = Buffer.alloc(HEADER);
  message.copy(reply, 0, 0, 4);
  reply.writeUInt16BE(QR | (message.readUInt16BE(2) & (OPCODE | RD)) | RA | rcode, 2);
  return reply;
}

/** The name of a question has nothing before it that a pointer could mean. */
function readQuestion(message: Buffer): { question: Question; end: number } {
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) throw new Malformed();
    at += 1;
    if (length === 0) break;
    if (at + length > message.length || at + length - HEADER > MAX_NAME) throw new Malformed();
    labels.push(message.toString('latin1', at, at + length).replaceAll(/[.\\]/g, '\\$&').toLowerCase());
    at += length;
  }
  if (at + 4 > message.length) throw new Malformed();
  return { question: { name: labels.join('.'), type: message.readUInt16BE(at), class: message.readUInt16BE(at + 2) }, end: at + 4 };
}

function readEdns(message: Buffer, start: number): Query['edns'] {
  const before = message.readUInt16BE(6) + message.readUInt16BE(8);
  const records = before + message.readUInt16BE(10);
  let at = start;
  let edns: Query['edns'];
  for (let index = 0; index < records; index += 1) {
    const name = at;
    at = skipName(message, at);
    if (at + 10 > message.length) throw new Malformed();
    const type = message.readUInt16BE(at);
    const end = at + 10 + message.readUInt16BE(at + 8);
    if (end > message.length) throw new Malformed();
    if (type === TYPE.OPT) {
      if (edns !== undefined || index < before || message[name] !== 0) throw new Malformed();
      edns = { size: message.readUInt16BE(at + 2), version: (message.readUInt32BE(at + 4) >>> 16) & 0xff };
    }
    at = end;
  }
  return edns;
}

/** Where the name that stands at `start` ends. A pointer ends a name. */
function skipName(message: Buffer, start: number): number {
  let at = start;
  for (;;) {
    const length = message[at];
    if (length === undefined) throw new Malformed();
    if (length >= 0xc0) return at + 2;
    if (length > 63) throw new Malformed();
    at += 1 + length;
    if (length === 0) return at;
  }
}

/** How many bytes a reply to a query may have. */
export function replyLimit(query: Query, transport: 'udp' | 'tcp'): number {
  if (transport === 'tcp') return MAX_TCP;
  return query.edns === undefined ? PLAIN_UDP : Math.min(Math.max(query.edns.size, PLAIN_UDP), MAX_UDP);
}

/** The reply to a query. Answers that find no room are left out, and the reply says that it is cut. */
export function encodeReply(query: Query, result: { rcode: number; answers: readonly Answer[] }, limit: number): Buffer {
  const opt = query.edns === undefined ? Buffer.alloc(0) : optRecord(result.rcode);
  const records: Buffer[] = [];
  let length = HEADER + query.rawQuestion.length + opt.length;
  for (const answer of result.answers) {
    const record = encodeAnswer(answer);
    if (length + record.length > limit) break;
    records.push(record);
    length += record.length;
  }
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(query.id, 0);
  header.writeUInt16BE(QR | (query.flags & (RD | CD)) | RA | (records.length < result.answers.length ? TC : 0) | (result.rcode & 0xf), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt16BE(opt.length === 0 ? 0 : 1, 10);
  return Buffer.concat([header, query.rawQuestion, ...records, opt]);
}

/** Its owner is the question's name, by a pointer to it. */
function encodeAnswer({ type, ttl, data }: Answer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc000 | HEADER, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(CLASS_IN, 4);
  head.writeUInt32BE(ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function optRecord(rcode: number): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(TYPE.OPT, 1);
  record.writeUInt16BE(MAX_UDP, 3);
  record.writeUInt8(rcode >> 4, 5);
  return record;
}

/** A name as labels; undefined if it cannot be a domain name. */
export function encodeName(name: string): Buffer | undefined {
  const labels = name.split('.').map((label) => Buffer.from(label));
  const encoded = Buffer.concat([...labels.flatMap((label) => [Buffer.from([label.length & 0xff]), label]), Buffer.from([0])]);
  return labels.every((label) => label.length > 0 && label.length <= 63) && encoded.length <= MAX_NAME ? encoded : undefined;
}

/** A forwarded query under an id of its own. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** The response code of a message that answers a question; undefined if it is none, whoever sent it. */
export function replyCode(message: Buffer, id: number, question: Question): number | undefined {
  if (message.length < HEADER || message.readUInt16BE(0) !== id || (message.readUInt16BE(2) & QR) === 0) return undefined;
  const rcode = message.readUInt16BE(2) & 0xf;
  const count = message.readUInt16BE(4);
  // A server that refuses may leave the question out.
  if (count === 0) return rcode === RCODE.ok || rcode === RCODE.noSuchName ? undefined : rcode;
  try {
    const { question: echoed } = readQuestion(message);
    return count === 1 && echoed.name === question.name && echoed.type === question.type && echoed.class === question.class ? rcode : undefined;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}
