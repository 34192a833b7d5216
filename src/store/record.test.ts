import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeRecord, encodeRecord, readRecord, writeRecord } from './record.ts';

interface Sample { schema: 1; name: string; size: bigint }
const options = {
  schema: 1 as const,
  parse(value: Record<string, unknown>): Sample {
    if (typeof value['name'] !== 'string') throw new Error('name is missing');
    return value as unknown as Sample;
  },
};

test('any JSON value with bigints comes back as it was', () => {
  const leaf = fc.oneof(fc.string(), fc.bigInt(), fc.boolean(), fc.integer(), fc.constant(null));
  const key = fc.oneof(fc.string().filter((k) => k !== '__proto__'), fc.constantFrom('$n', '$$n', '$'));
  const options = { noNullPrototype: true };
  const tree = fc.dictionary(key, fc.oneof(leaf, fc.array(leaf), fc.dictionary(key, leaf, options)), options);
  fc.assert(fc.property(tree, (value) => {
    assert.deepEqual({ ...decodeRecord(encodeRecord(value)) }, { ...value });
  }));
});

test('a record is replaced whole, keeps unknown fields, and a torn temporary file is no obstacle', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'moored-record-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'config.json');
  await writeFile(join(folder, '.config.json.new'), '{"schema":1,"na');
  await writeRecord(path, { schema: 1, name: 'a', size: 5n, later: 'kept' } as Sample);
  const read = await readRecord(path, options);
  assert.deepEqual(read, { kind: 'ok', value: { schema: 1, name: 'a', size: 5n, later: 'kept' } });
  assert.deepEqual(await readdir(folder), ['config.json']);
});

test('damaged records are quarantined with their bytes, newer ones refused and left alone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'moored-record-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'config.json');
  assert.deepEqual(await readRecord(path, options), { kind: 'missing' });
  for (const bytes of ['', '{"schema":1', '[]', '{"schema":1}', '\0\0\0\0']) {
    await writeFile(path, bytes);
    const read = await readRecord(path, options);
    assert.equal(read.kind, 'damaged');
    if (read.kind === 'damaged') assert.equal(await readFile(read.quarantined, 'utf8'), bytes);
  }
  await writeFile(path, '{"schema":2,"name":"b"}');
  assert.deepEqual(await readRecord(path, options), { kind: 'newer', schema: 2, value: { schema: 2, name: 'b' } });
  assert.equal(await readFile(path, 'utf8'), '{"schema":2,"name":"b"}');
});
