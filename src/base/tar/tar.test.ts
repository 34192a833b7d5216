import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { BLOCK, byteString, tarHeader, TarError, textOf } from './header.ts';
import type { EntryType, TarHeader } from './header.ts';
import { TarParser } from './parser.ts';
import { formatPax, formatPaxTime, parsePax, parsePaxTime } from './pax.ts';
import { readBody, readTar } from './reader.ts';
import { encodeHeader, TAR_END, tarPadding } from './writer.ts';

const top = mkdtempSync('/tmp/moored-tar-');
after(() => rmSync(top, { recursive: true }));

interface Parsed {
  header: TarHeader;
  body: Buffer;
}

/** Parses an archive given in pieces of `step` bytes; what `raw` and `data` got together must be the archive. */
function parse(archive: Buffer, step = archive.length): Parsed[] {
  const entries: Parsed[] = [];
  const all: Buffer[] = [];
  const parser = new TarParser({
    entry: (header) => void entries.push({ header, body: Buffer.alloc(header.size) }),
    data: (chunk, position) => {
      entries.at(-1)?.body.set(chunk, position);
      all.push(Buffer.from(chunk));
    },
    endEntry: () => {},
    raw: (chunk) => void all.push(Buffer.from(chunk)),
  });
  for (let at = 0; at < archive.length; at += step) parser.write(archive.subarray(at, at + step));
  parser.end();
  assert.ok(Buffer.concat(all).equals(archive));
  return entries;
}

const pack = (entries: { header: TarHeader; body: Buffer }[]): Buffer =>
  Buffer.concat([...entries.flatMap(({ header, body }) => [encodeHeader(header), body, tarPadding(body.length)]), TAR_END]);

const bytes = (options: { min?: number; max: number; slash?: boolean }): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: options.min ?? 0, maxLength: options.max }).map((array) =>
    Buffer.from(array.map((byte) => (byte === 0 || (byte === 0x2f && options.slash !== true) ? 0x61 : byte))).toString('latin1'),
  );

const name = fc.oneof(
  fc.array(bytes({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/')),
  fc.constantFrom('a'.repeat(100), 'a'.repeat(101), `${'d'.repeat(155)}/${'f'.repeat(100)}`, `${'d'.repeat(156)}/f`, 'ü', '../x', '/abs'),
  // Long and ASCII: where the split into prefix and name decides.
  fc.array(fc.constantFrom('abcdefgh', 'x', 'longer-part-of-a-name'), { minLength: 5, maxLength: 20 }).map((parts) => parts.join('/')),
);
const number = fc.oneof(fc.nat(), fc.constantFrom(0o7777777, 0o10000000, 2 ** 32 - 2, Number.MAX_SAFE_INTEGER));
const arbitraryHeader = fc.record({
  name,
  linkName: name,
  mode: fc.nat(0o7777),
  uid: number,
  gid: number,
  userName: bytes({ max: 40 }),
  groupName: bytes({ max: 40 }),
  mtimeNs: fc.oneof(fc.bigInt(-(2n ** 62n), 2n ** 62n), fc.nat().map((seconds) => BigInt(seconds) * 1_000_000_000n)),
  devMajor: number,
  devMinor: number,
  xattrs: fc.array(fc.tuple(bytes({ min: 1, max: 20 }).map((key) => `user.${key.replaceAll('=', '-')}`), fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value)))).map((list) => new Map(list)),
  type: fc.constantFrom<EntryType>('file', 'hardlink', 'symlink', 'char', 'block', 'directory', 'fifo'),
});

/** What of a header an archive keeps. */
function expected(header: TarHeader): TarHeader {
  const { type } = header;
  const device = type === 'char' || type === 'block';
  return {
    ...header,
    name: type === 'directory' && !header.name.endsWith('/') ? `${header.name}/` : header.name,
    linkName: type === 'symlink' || type === 'hardlink' ? header.linkName : '',
    devMajor: device ? header.devMajor : 0,
    devMinor: device ? header.devMinor : 0,
  };
}

describe('round trip', () => {
  test('every header comes back, whatever the pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(arbitraryHeader, fc.uint8Array({ maxLength: 1500 })), { maxLength: 4 }), fc.integer({ min: 1, max: 2000 }), (list, step) => {
        const entries = list.map(([header, data]) => {
          const body = Buffer.from(header.type === 'file' ? data : []);
          return { header: tarHeader({ ...header, size: body.length }), body };
        });
        const parsed = parse(pack(entries), step);
        assert.deepEqual(parsed.map(({ header }) => header), entries.map(({ header }) => expected(header)));
        parsed.forEach(({ body }, index) => assert.ok(body.equals(entries[index]?.body ?? Buffer.alloc(0))));
      }),
      { numRuns: 300 },
    );
  });

  test('times and records', () => {
    fc.assert(fc.property(fc.bigInt(-(2n ** 62n), 2n ** 62n), (ns) => assert.equal(parsePaxTime(formatPaxTime(ns)), ns)));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 12_000 }), (length) => {
        const value = Buffer.alloc(length, 0x0a);
        assert.deepEqual(parsePax(formatPax('key', value)), [['key', value]]);
      }),
    );
  });

  test('the async reader gives bodies, and skips what is not read', async () => {
    const entries = ['a', 'b', 'c'].map((file) => ({ header: tarHeader({ name: file, size: 70_000 }), body: Buffer.alloc(70_000, file) }));
    const archive = pack(entries);
    const chunks = Array.from({ length: Math.ceil(archive.length / 1000) }, (_, i) => archive.subarray(i * 1000, (i + 1) * 1000));
    const read: string[] = [];
    for await (const entry of readTar(Readable.from(chunks))) if (entry.header.name !== 'b') read.push((await readBody(entry, 70_000)).toString());
    assert.deepEqual(read, ['a'.repeat(70_000), 'c'.repeat(70_000)]);
    await assert.rejects(async () => {
      for await (const entry of readTar(Readable.from([archive]))) await readBody(entry, 10);
    }, RangeError);
  });
});

describe('GNU tar', () => {
  const source = path.join(top, 'source');
  mkdirSync(`${source}/dir`, { recursive: true });
  writeFileSync(`${source}/dir/small`, 'small');
  writeFileSync(`${source}/dir/${'n'.repeat(150)}`, 'long name');
  mkdirSync(`${source}/dir/${'d'.repeat(90)}/${'e'.repeat(90)}`, { recursive: true });
  writeFileSync(`${source}/dir/${'d'.repeat(90)}/${'e'.repeat(90)}/f`, 'deep');
  writeFileSync(`${source}/dir/\u00fcml\u00e4ut`, 'utf8');
  symlinkSync('t'.repeat(140), `${source}/dir/link`);
  linkSync(`${source}/dir/small`, `${source}/dir/hard`);
  execFileSync('mkfifo', [`${source}/dir/fifo`]);
  // Holes at the start, in the middle (more runs than fit into a header) and at the end.
  const holes = `${source}/dir/holes`;
  writeFileSync(holes, '');
  truncateSync(holes, 4 << 20);
  for (let at = 65536; at <= 60 * 65536; at += 65536) execFileSync('dd', [`of=${holes}`, 'bs=1', `seek=${at}`, 'conv=notrunc', 'status=none'], { input: `run at ${at}` });
  utimesSync(`${source}/dir/small`, 1, 1.5);

  const forms: Record<string, string[]> = {
    v7: ['--format=v7', '--exclude=n*', '--exclude=d*d', '--exclude=link', '--exclude=fifo'],
    ustar: ['--format=ustar', '--exclude=n*', '--exclude=link'],
    gnu: ['--format=gnu'],
    oldgnu: ['--format=oldgnu'],
    pax: ['--format=pax'],
    'sparse gnu': ['--format=gnu', '-S'],
    'sparse 0.0': ['--format=pax', '-S', '--sparse-version=0.0'],
    'sparse 0.1': ['--format=pax', '-S', '--sparse-version=0.1'],
    'sparse 1.0': ['--format=pax', '-S', '--sparse-version=1.0'],
    'large ids': ['--format=gnu', '--owner=a:3000000', '--group=b:4000000', '--mtime=@-5'],
    'global records': ['--format=pax', '--pax-option=globexthdr.name=g,comment=hello,uname=everyone'],
  };
  for (const [form, options] of Object.entries(forms)) {
    test(`is read: ${form}`, () => {
      const archive = execFileSync('tar', ['-C', source, ...options, '-cf', '-', 'dir'], { maxBuffer: 1 << 26 });
      const listed = execFileSync('tar', ['-tf', '-', '--quoting-style=literal'], { input: archive, maxBuffer: 1 << 20 }).toString().trim().split('\n');
      const parsed = parse(archive, 777);
      assert.deepEqual(parsed.map(({ header }) => textOf(header.name)), listed);
      for (const { header, body } of parsed) {
        const file = path.join(source, textOf(header.name));
        const stat = lstatSync(file);
        assert.equal(header.mode, stat.mode & 0o7777);
        if (header.type === 'file') assert.ok(body.equals(readFileSync(file)), file);
        if (header.type === 'symlink') assert.equal(header.linkName, readlinkSync(file));
        if (form.startsWith('sparse') && header.name.endsWith('holes')) assert.ok((header.sparse?.length ?? 0) > 50);
        if (form === 'large ids') assert.deepEqual([header.uid, header.gid, header.mtimeNs], [3_000_000, 4_000_000, -5_000_000_000n]);
        if (form === 'pax' && header.name === 'dir/hard') assert.equal(header.mtimeNs, 1_500_000_000n);
        if (form === 'global records') assert.equal(header.userName, 'everyone');
      }
    });
  }

  test('reads what is written', () => {
    const target = path.join(top, 'target');
    mkdirSync(target);
    const deep = `${'x'.repeat(120)}/${'y'.repeat(120)}/${'z'.repeat(120)}`;
    const archive = pack([
      { header: tarHeader({ name: byteString('ü/ä'), size: 3, mode: 0o4755, mtimeNs: 1_234_567_890_123_456_789n }), body: Buffer.from('abc') },
      { header: tarHeader({ name: deep, size: 0 }), body: Buffer.alloc(0) },
      { header: tarHeader({ name: 'big', uid: 3_000_000, gid: 3_000_001, xattrs: new Map([['user.bin', Buffer.from([0, 255, 10, 61])]]) }), body: Buffer.alloc(0) },
      { header: tarHeader({ name: 'sym', type: 'symlink', linkName: byteString('ß'.repeat(90)) }), body: Buffer.alloc(0) },
    ]);
    const output = execFileSync('tar', ['-C', target, '--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpvf', '-'], { input: archive }).toString();
    assert.equal(output.trim().split('\n').length, 4);
    const stat = statSync(`${target}/ü/ä`, { bigint: true });
    assert.deepEqual([stat.mode & 0o7777n, stat.mtimeNs, readFileSync(`${target}/ü/ä`, 'utf8')], [0o4755n, 1_234_567_890_123_456_789n, 'abc']);
    assert.deepEqual([statSync(`${target}/big`).uid, statSync(`${target}/big`).gid], [3_000_000, 3_000_001]);
    assert.equal(readlinkSync(`${target}/sym`), 'ß'.repeat(90));
    assert.ok(statSync(path.join(target, deep)).isFile());
    assert.equal(readdirSync(target).length, 4);
  });
});

describe('damage', () => {
  const good = pack([{ header: tarHeader({ name: 'file', size: 600, mtimeNs: 5n }), body: Buffer.alloc(600, 'x') }]);

  test('truncation is unexpected, except between entries', () => {
    for (let length = 1; length < good.length - 2 * BLOCK; length++) {
      assert.throws(() => parse(good.subarray(0, length)), { message: 'unexpected EOF' }, String(length));
    }
    assert.equal(parse(good.subarray(0, good.length - 2 * BLOCK)).length, 1);
    assert.equal(parse(good.subarray(0, good.length - BLOCK)).length, 1);
    assert.equal(parse(Buffer.alloc(0)).length, 0);
  });

  test('in Go’s words', () => {
    const plain = encodeHeader(tarHeader({ name: 'f' }));
    const broken = (change: (block: Buffer) => void, seal = true): Buffer => {
      const block = Buffer.from(plain);
      change(block);
      if (seal) {
        block.fill(' ', 148, 156);
        block.write(`${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148);
      }
      return block;
    };
    const invalidHeader = { message: 'archive/tar: invalid tar header' };
    assert.throws(() => parse(broken((block) => void (block[0] = 0x67), false)), invalidHeader);
    assert.throws(() => parse(broken((block) => void block.write('9', 110))), invalidHeader);
    assert.throws(() => parse(broken((block) => void block.fill(0xff, 124, 136))), invalidHeader);
    assert.throws(() => parse(broken((block) => void block.write('Z', 156))), { message: 'unhandled tar header type 90' });
    const endless = broken((block) => {
      block.write('77777777777', 124);
      block.write('x', 156);
    });
    assert.throws(() => parse(endless), { message: 'archive/tar: header field too long' });
    assert.throws(() => parse(Buffer.concat([Buffer.alloc(BLOCK), plain])), invalidHeader);
    assert.throws(() => parse(Buffer.from('not a tar at all, only text '.repeat(40))), invalidHeader);
    for (const text of ['5 a=b\n', '0 a=b\n', '6 =bb\n', '6 a=b\n\n', '99 a=b\n', '6 path', '-6 a=b\n', '10 path=\0x\n']) assert.throws(() => parsePax(Buffer.from(text)), invalidHeader, text);
  });

  test('mutations end in time, with an error of ours or in peace', () => {
    const seeds = [
      good,
      pack([{ header: tarHeader({ name: 'n'.repeat(300), xattrs: new Map([['user.a', Buffer.from('b')]]) }), body: Buffer.alloc(0) }]),
      execFileSync('tar', ['-C', path.join(top, 'source'), '-S', '--format=gnu', '-cf', '-', 'dir/holes'], { maxBuffer: 1 << 24 }),
      execFileSync('tar', ['-C', path.join(top, 'source'), '-S', '--format=pax', '-cf', '-', 'dir/holes'], { maxBuffer: 1 << 24 }),
    ].map((seed) => seed.subarray(0, 16 * BLOCK));
    let random = 12345;
    const next = (below: number): number => {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0;
      return Math.floor((random / 2 ** 32) * below);
    };
    const until = performance.now() + 3000;
    const outcomes = { fine: 0, refused: 0 };
    for (let run = 0; run < 5000 && performance.now() < until; run++) {
      const mutant = Buffer.from(seeds[run % seeds.length] ?? good);
      for (let i = next(4); i >= 0; i--) mutant[next(mutant.length)] = next(256);
      // Past the checksum, or hardly anything would be tried.
      for (let at = 0; at + BLOCK <= mutant.length; at += BLOCK) {
        if (mutant.toString('latin1', at + 257, at + 262) !== 'ustar') continue;
        mutant.fill(' ', at + 148, at + 156);
        const sum = mutant.subarray(at, at + BLOCK).reduce((total, byte) => total + byte, 0);
        mutant.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148);
      }
      try {
        const parser = new TarParser({ entry: () => {}, data: () => {}, endEntry: () => {} });
        parser.write(mutant);
        parser.end();
        outcomes.fine++;
      } catch (error) {
        assert.ok(error instanceof TarError, String(error));
        outcomes.refused++;
      }
    }
    assert.ok(outcomes.refused > 500 && outcomes.fine > 20, JSON.stringify(outcomes));
  });
});
