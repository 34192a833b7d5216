import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { decompress, peek } from './decompress.ts';
import { filterThrough } from './filter.ts';

const DATA = Buffer.concat([randomBytes(300_000), Buffer.alloc(300_000)]);
const pieces = (data: Buffer, size: number): Readable =>
  Readable.from(Array.from({ length: Math.ceil(data.length / size) }, (_, index) => data.subarray(index * size, (index + 1) * size)), { objectMode: false });

const compressed: Record<string, () => Promise<Buffer>> = {
  none: async () => DATA,
  gzip: async () => gzipSync(DATA),
  'gzip of two members': async () => Buffer.concat([gzipSync(DATA.subarray(0, 1000)), gzipSync(DATA.subarray(1000))]),
  zstd: async () => zstdCompressSync(DATA),
  bzip2: () => buffer(filterThrough(['bzip2', '-c'], pieces(DATA, 65536))),
  xz: () => buffer(filterThrough(['xz', '-0', '-c'], pieces(DATA, 65536))),
};

for (const [name, make] of Object.entries(compressed)) {
  test(`reads ${name}, whatever the pieces`, { timeout: 30_000 }, async () => {
    const data = await make();
    for (const size of [1021, 1_000_000]) assert.ok(DATA.equals(await buffer(await decompress(pieces(data, size)))), `pieces of ${size}`);
    assert.ok(DATA.equals(await buffer(await decompress(Readable.from([data.subarray(0, 1), data.subarray(1, 3), data.subarray(3)], { objectMode: false })))));
  });

  if (name === 'none') continue;
  test(`a torn ${name} stream is an error, not a hang`, { timeout: 30_000 }, async () => {
    const data = await make();
    await assert.rejects(async () => buffer(await decompress(pieces(data.subarray(0, data.length - 100), 4096))));
  });
}

test('an empty stream is empty', { timeout: 5000 }, async () => {
  assert.equal((await buffer(await decompress(Readable.from([], { objectMode: false })))).length, 0);
});

test('peek leaves the bytes', { timeout: 5000 }, async () => {
  const stream = pieces(Buffer.from('hello world'), 2);
  assert.equal((await peek(stream, 4)).toString(), 'hell');
  assert.equal((await buffer(stream)).toString(), 'hello world');
  assert.equal((await buffer(await decompress(pieces(Buffer.from('abc'), 1)))).toString(), 'abc');
});

test('an error of the input comes out', { timeout: 5000 }, async () => {
  for (const magic of ['BZh9', '\x1f\x8b\x08', '(\xb5/\xfd', '\xfd7zXZ\0']) {
    const input = new Readable({ read() {} });
    input.push(Buffer.from(`${magic}xxxxxxxxxxxxxxxx`, 'latin1'));
    const output = await decompress(input);
    setImmediate(() => input.destroy(new Error('gone')));
    await assert.rejects(buffer(output));
  }
});

test('destroying the output ends the program and the input', { timeout: 5000 }, async () => {
  const input = new Readable({ read() { this.push(Buffer.alloc(65536)); } });
  const output = filterThrough(['cat'], input);
  output.resume();
  await new Promise((resolve) => output.once('data', resolve));
  output.destroy();
  await new Promise((resolve) => input.once('close', resolve));
});
