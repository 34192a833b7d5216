/**
 * Writing tar archives: ustar where everything fits, pax records for what does not (long or non-ASCII names, large
 * numbers, fractions of seconds, xattrs). The same header always gives the same bytes.
 */
import { BLOCK, bytesOf, checksums, FIELDS, paddingOf } from './header.ts';
import type { ByteString, EntryType, Field, TarHeader } from './header.ts';
import { formatPax, formatPaxTime, SCHILY_XATTR } from './pax.ts';

const TYPEFLAGS: Record<EntryType, string> = { file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', directory: '5', fifo: '6' };

/** Two zero blocks: what an archive ends with. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK);

const PADDING = Buffer.alloc(BLOCK);

/** The zeros that follow content of that size. */
export const tarPadding = (size: number): Buffer => PADDING.subarray(0, paddingOf(size));

/**
 * The header blocks of an entry; its content of exactly `size` bytes follows, then `tarPadding(size)`. A directory's
 * name gets its slash. Sparse runs are not written: the content stands for itself.
 */
export function encodeHeader(header: TarHeader): Buffer {
  const name = header.type === 'directory' && !header.name.endsWith('/') ? `${header.name}/` : header.name;
  const records = new Map<ByteString, Buffer>();
  const block = Buffer.alloc(BLOCK);
  putName(block, records, name);
  putString(block, records, { field: 'linkName', key: 'linkpath', value: header.linkName });
  putString(block, records, { field: 'userName', key: 'uname', value: header.userName });
  putString(block, records, { field: 'groupName', key: 'gname', value: header.groupName });
  putOctal(block, 'mode', header.mode & 0o7777);
  putNumber(block, records, { field: 'uid', key: 'uid', value: header.uid });
  putNumber(block, records, { field: 'gid', key: 'gid', value: header.gid });
  putNumber(block, records, { field: 'size', key: 'size', value: header.type === 'file' ? header.size : 0 });
  putTime(block, records, header.mtimeNs);
  if (header.type === 'char' || header.type === 'block') {
    putNumber(block, records, { field: 'devMajor', key: 'SCHILY.devmajor', value: header.devMajor });
    putNumber(block, records, { field: 'devMinor', key: 'SCHILY.devminor', value: header.devMinor });
  }
  for (const key of [...header.xattrs.keys()].toSorted()) records.set(SCHILY_XATTR + key, header.xattrs.get(key) ?? PADDING.subarray(0, 0));
  seal(block, TYPEFLAGS[header.type]);
  return records.size === 0 ? block : Buffer.concat([extendedHeader(name, records), block]);
}

/** The `x` entry that carries records for the entry after it. */
function extendedHeader(name: ByteString, records: ReadonlyMap<ByteString, Buffer>): Buffer {
  const body = Buffer.concat([...records.keys()].toSorted().map((key) => formatPax(key, records.get(key) ?? PADDING.subarray(0, 0))));
  const block = Buffer.alloc(BLOCK);
  const parts = name.replace(/\/+$/, '').split('/');
  const base = parts.pop() ?? '';
  // A reader that knows no pax would make files of these; the name says what they are.
  block.write(`PaxHeaders.0/${base}`.replace(/[^\x20-\x7e]/g, '_').slice(0, 100), 0, 100, 'latin1');
  putOctal(block, 'mode', 0o644);
  putOctal(block, 'uid', 0);
  putOctal(block, 'gid', 0);
  putOctal(block, 'size', body.length);
  putOctal(block, 'mtime', 0);
  seal(block, 'x');
  return Buffer.concat([block, body, tarPadding(body.length)]);
}

function seal(block: Buffer, typeflag: string): void {
  block.write(typeflag, 156, 1, 'latin1');
  block.write('ustar\x0000', 257, 8, 'latin1');
  block.write(checksums(block).unsigned.toString(8).padStart(6, '0') + '\0 ', 148, 8, 'latin1');
}

type Records = Map<ByteString, Buffer>;

/** Names up to 100 bytes, or split at a slash into prefix and name; else a pax record and a cut name. */
function putName(block: Buffer, records: Records, name: ByteString): void {
  const split = isAscii(name) ? splitName(name) : undefined;
  if (split === undefined) records.set('path', bytesOf(name));
  block.write(split?.name ?? ascii(name).slice(0, 100), 0, 100, 'latin1');
  if (split !== undefined) block.write(split.prefix, 345, 155, 'latin1');
}

function splitName(name: ByteString): { prefix: string; name: string } | undefined {
  if (name.length <= 100) return { prefix: '', name };
  if (name.length > 256) return undefined;
  const slash = name.indexOf('/', name.length - 101);
  if (slash <= 0 || slash > 155 || slash === name.length - 1) return undefined;
  return { prefix: name.slice(0, slash), name: name.slice(slash + 1) };
}

function putString(block: Buffer, records: Records, put: { field: Field; key: string; value: ByteString }): void {
  const [offset, length] = FIELDS[put.field];
  // A name of the owner needs its terminator.
  const room = put.field === 'linkName' ? length : length - 1;
  if (put.value.length > room || !isAscii(put.value)) records.set(put.key, bytesOf(put.value));
  block.write(ascii(put.value).slice(0, room), offset, room, 'latin1');
}

function putNumber(block: Buffer, records: Records, put: { field: Field; key: string; value: number }): void {
  const fits = put.value < 8 ** (FIELDS[put.field][1] - 1);
  if (!fits) records.set(put.key, Buffer.from(String(put.value)));
  putOctal(block, put.field, fits ? put.value : 0);
}

function putTime(block: Buffer, records: Records, ns: bigint): void {
  const seconds = ns / 1_000_000_000n;
  const fits = ns >= 0n && seconds < 8n ** 11n;
  if (!fits || ns % 1_000_000_000n !== 0n) records.set('mtime', Buffer.from(formatPaxTime(ns)));
  putOctal(block, 'mtime', fits ? Number(seconds) : 0);
}

function putOctal(block: Buffer, field: Field, value: number): void {
  const [offset, length] = FIELDS[field];
  block.write(value.toString(8).padStart(length - 1, '0'), offset, length - 1, 'latin1');
}

// NUL ends a field: a value that has one goes nowhere but into a record.
const PLAIN = /^[^\0\x80-\uffff]*$/;
const isAscii = (text: string): boolean => PLAIN.test(text);
const ascii = (text: string): string => text.replace(/[\0\x80-\uffff]/g, '_');
