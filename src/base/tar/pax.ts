/** Pax extended headers (POSIX.1-2001): `<length> <key>=<value>\n`, where a value may be any bytes. */
import { badHeader, exact } from './header.ts';
import type { ByteString, TarHeader } from './header.ts';

/** A record's value is kept as bytes: an xattr's is binary. Keys may be repeated (GNU sparse 0.0). */
export type PaxRecord = readonly [key: ByteString, value: Buffer];

/** Reads the records of an extended header; throws if one is malformed. */
export function parsePax(data: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const digits = space < 0 ? '' : data.toString('latin1', at, space);
    if (!/^[0-9]{1,15}$/.test(digits)) throw badHeader();
    const end = at + Number(digits);
    if (end > data.length || end <= space + 1 || data[end - 1] !== 0x0a) throw badHeader();
    const equals = data.indexOf(0x3d, space + 1);
    if (equals < 0 || equals >= end || equals === space + 1) throw badHeader();
    const key = data.toString('latin1', space + 1, equals);
    const value = data.subarray(equals + 1, end - 1);
    if (key.includes('\0') || (NO_NUL.has(key) && value.includes(0))) throw badHeader();
    records.push([key, value]);
    at = end;
  }
  return records;
}

/** Writes one record; its length counts its own digits. */
export function formatPax(key: ByteString, value: Buffer): Buffer {
  const rest = 1 + key.length + 1 + value.length + 1;
  let length = rest + String(rest).length;
  if (String(length).length > String(rest).length) length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`, 'latin1'), value, Buffer.from('\n')]);
}

/** Nanoseconds of a pax time (`1350244992.023960108`, negative too); finer digits are cut. */
export function parsePaxTime(text: string): bigint {
  const match = /^(-?)(\d{1,18})(?:\.(\d*))?$/.exec(text);
  if (match === null) throw badHeader();
  const fraction = (match[3] ?? '').slice(0, 9).padEnd(9, '0');
  const ns = BigInt(match[2] ?? '0') * 1_000_000_000n + BigInt(fraction);
  return match[1] === '-' ? -ns : ns;
}

export function formatPaxTime(ns: bigint): string {
  const abs = ns < 0n ? -ns : ns;
  const text = `${abs / 1_000_000_000n}.${(abs % 1_000_000_000n).toString().padStart(9, '0')}`;
  return `${ns < 0n ? '-' : ''}${text.replace(/\.?0+$/, '') || '0'}`;
}

const NO_NUL: ReadonlySet<string> = new Set(['path', 'linkpath', 'uname', 'gname', 'GNU.sparse.name']);

/** What records may say of every entry to come (`g`): not what only makes sense for one, so that no reader sees another tree. */
const GLOBAL: ReadonlySet<string> = new Set(['mtime', 'uid', 'gid', 'uname', 'gname']);

export const isGlobalKey = (key: ByteString): boolean => GLOBAL.has(key);

/** Lays records over a header; later ones win, an empty value leaves what the header block says. */
export function applyPax(header: TarHeader, records: readonly PaxRecord[]): void {
  for (const [key, value] of records) {
    const setter = SETTERS.get(key);
    if (setter !== undefined) {
      if (value.length > 0) setter(header, value.toString('latin1'));
    } else if (key.startsWith(SCHILY_XATTR)) {
      header.xattrs.set(key.slice(SCHILY_XATTR.length), Buffer.from(value));
    } else if (key.startsWith(LIBARCHIVE_XATTR)) {
      const name = percentDecode(key.slice(LIBARCHIVE_XATTR.length));
      // bsdtar writes both forms; SCHILY's is the plain one.
      if (!header.xattrs.has(name)) header.xattrs.set(name, Buffer.from(value.toString('latin1'), 'base64'));
    }
  }
}

export const SCHILY_XATTR = 'SCHILY.xattr.';
const LIBARCHIVE_XATTR = 'LIBARCHIVE.xattr.';

const SETTERS: ReadonlyMap<string, (header: TarHeader, value: ByteString) => void> = new Map([
  ['path', (header, value) => void (header.name = value)],
  ['linkpath', (header, value) => void (header.linkName = value)],
  ['uname', (header, value) => void (header.userName = value)],
  ['gname', (header, value) => void (header.groupName = value)],
  ['uid', (header, value) => void (header.uid = decimal(value))],
  ['gid', (header, value) => void (header.gid = decimal(value))],
  ['mtime', (header, value) => void (header.mtimeNs = parsePaxTime(value))],
  ['SCHILY.devmajor', (header, value) => void (header.devMajor = decimal(value))],
  ['SCHILY.devminor', (header, value) => void (header.devMinor = decimal(value))],
]);

/** The decimal number of a record. */
export function decimal(text: ByteString): number {
  if (!/^\d{1,16}$/.test(text)) throw badHeader();
  return exact(BigInt(text));
}

const percentDecode = (text: ByteString): ByteString =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
