/**
 * What a tar archive says of one entry, and the fields of a 512-byte header block (POSIX.1-1988 ustar, the GNU and
 * star variants). Names are *byte strings*: JavaScript strings of which each code unit is one byte. So a name that is
 * not UTF-8 survives, and comparing and splitting work byte-wise; `textOf` and `bytesOf` translate.
 */
import { MooredError } from '../errors.ts';

export const BLOCK = 512;

/** A string whose code units are bytes (latin1). */
export type ByteString = string;

export const bytesOf = (name: ByteString): Buffer => Buffer.from(name, 'latin1');
/** The byte string as text, taken as UTF-8. */
export const textOf = (name: ByteString): string => Buffer.from(name, 'latin1').toString('utf8');
/** The byte string of a text's UTF-8 form. */
export const byteString = (text: string): ByteString => Buffer.from(text, 'utf8').toString('latin1');

export type EntryType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo';

/** A stretch of a sparse file that has data; all else is zeros. */
export interface SparseRun {
  offset: number;
  length: number;
}

export interface TarHeader {
  type: EntryType;
  /** As in the archive: may be absolute, have `..`, end with a slash. */
  name: ByteString;
  /** Target of a symlink or hard link, else empty. */
  linkName: ByteString;
  /** Permissions with setuid, setgid and sticky: the low 12 bits. */
  mode: number;
  uid: number;
  gid: number;
  userName: ByteString;
  groupName: ByteString;
  /** Length of the content in bytes, holes counted; 0 for everything but files. */
  size: number;
  mtimeNs: bigint;
  devMajor: number;
  devMinor: number;
  /** Extended attributes by their full name (`security.capability`). */
  xattrs: Map<ByteString, Buffer>;
  /** The data of a sparse file, in order; absent otherwise. */
  sparse?: SparseRun[];
}

/** Go's words for an archive that is none, so that clients see what dockerd would have said. */
export class TarError extends MooredError {
  constructor(message: string) {
    super('invalid', message);
    this.name = 'TarError';
  }
}

export const badHeader = (): TarError => new TarError('archive/tar: invalid tar header');
export const tooLong = (): TarError => new TarError('archive/tar: header field too long');
export const truncated = (): TarError => new TarError('unexpected EOF');

/** A header with everything at its default, for writing. */
export function tarHeader(header: Partial<TarHeader> & { name: ByteString }): TarHeader {
  return {
    type: 'file',
    linkName: '',
    mode: 0o644,
    uid: 0,
    gid: 0,
    userName: '',
    groupName: '',
    size: 0,
    mtimeNs: 0n,
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    ...header,
  };
}

/** Offset and length of the fields that the variants share. */
export const FIELDS = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  typeflag: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  userName: [265, 32],
  groupName: [297, 32],
  devMajor: [329, 8],
  devMinor: [337, 8],
  prefix: [345, 155],
} as const satisfies Record<string, readonly [number, number]>;

export type Field = keyof typeof FIELDS;

/** The header block as its fields stand there, before long names, pax records and sparse maps are laid over it. */
export interface RawHeader {
  typeflag: string;
  name: ByteString;
  linkName: ByteString;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtime: bigint;
  userName: ByteString;
  groupName: ByteString;
  devMajor: number;
  devMinor: number;
  gnu: boolean;
}

/** Reads a header block; throws if its checksum or a number is wrong. */
export function parseBlock(block: Buffer): RawHeader {
  verifyChecksum(block);
  const magic = block.toString('latin1', 257, 265);
  const gnu = magic === 'ustar  \0';
  const ustar = magic.startsWith('ustar\0');
  const star = ustar && block.toString('latin1', 508, 512) === 'tar\0';
  const modern = gnu || ustar;
  // star keeps two times where ustar has the end of the prefix.
  const prefix = ustar ? cString(block, 345, star ? 131 : 155) : '';
  const name = stringField(block, 'name');
  const typeflag = block.toString('latin1', 156, 157);
  const device = modern && (typeflag === '3' || typeflag === '4');
  return {
    typeflag,
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: stringField(block, 'linkName'),
    mode: numberField(block, 'mode'),
    uid: numberField(block, 'uid'),
    gid: numberField(block, 'gid'),
    size: numberField(block, 'size'),
    mtime: parseNumber(block, 136, 12),
    userName: modern ? stringField(block, 'userName') : '',
    groupName: modern ? stringField(block, 'groupName') : '',
    devMajor: device ? numberField(block, 'devMajor') : 0,
    devMinor: device ? numberField(block, 'devMinor') : 0,
    gnu,
  };
}

const stringField = (block: Buffer, field: Field): ByteString => cString(block, FIELDS[field][0], FIELDS[field][1]);

/** A number that must be one of JavaScript's exact integers and not negative. */
const numberField = (block: Buffer, field: Field): number => exact(parseNumber(block, FIELDS[field][0], FIELDS[field][1]));

export function exact(value: bigint): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) throw badHeader();
  return Number(value);
}

export function cString(block: Buffer, offset: number, length: number): ByteString {
  const end = block.subarray(offset, offset + length).indexOf(0);
  return block.toString('latin1', offset, offset + (end < 0 ? length : end));
}

/** An octal number padded with blanks or NULs, or GNU's base 256 (first bit set; two's complement). */
export function parseNumber(block: Buffer, offset: number, length: number): bigint {
  const first = block[offset] ?? 0;
  if ((first & 0x80) !== 0) return parseBase256(block, offset, length);
  const text = block.toString('latin1', offset, offset + length).replace(/^[ \0]+|[ \0]+$/g, '');
  // Writers end the field with a NUL; what stands behind it is none of the number.
  const digits = text.split('\0', 1)[0] ?? '';
  if (digits === '') return 0n;
  if (!/^[0-7]+$/.test(digits)) throw badHeader();
  return length <= 12 ? BigInt(Number.parseInt(digits, 8)) : BigInt(`0o${digits}`);
}

function parseBase256(block: Buffer, offset: number, length: number): bigint {
  const negative = ((block[offset] ?? 0) & 0x40) !== 0;
  let value = 0n;
  for (let i = 0; i < length; i++) {
    let byte = block[offset + i] ?? 0;
    if (negative) byte ^= 0xff;
    if (i === 0) byte &= 0x7f;
    value = (value << 8n) | BigInt(byte);
  }
  if (value >> 63n !== 0n) throw badHeader();
  return negative ? -value - 1n : value;
}

function verifyChecksum(block: Buffer): void {
  const wanted = Number(parseNumber(block, 148, 8));
  const { unsigned, signed } = checksums(block);
  if (wanted !== unsigned && wanted !== signed) throw badHeader();
}

/** The sum of a block's bytes, its checksum field taken as blanks; ancient writers summed signed bytes. */
export function checksums(block: Buffer): { unsigned: number; signed: number } {
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let i = 0; i < BLOCK; i++) {
    if (i === 148) i = 156;
    const byte = block[i] ?? 0;
    unsigned += byte;
    if (byte >= 0x80) high++;
  }
  return { unsigned, signed: unsigned - 256 * high };
}

/** Bytes from the end of content of that size to the next block. */
export const paddingOf = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;
