import assert from 'node:assert/strict';
import { chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { makeDevice, makeNode, majorOf, minorOf, setTimes } from './fileNodes.ts';
import { MNT_DETACH, mount, mountSync, umount, umountSync } from './mount.ts';
import { getXattr, listXattrs, setXattr } from './xattr.ts';

const top = mkdtempSync('/tmp/moored-files-');
after(() => rmSync(top, { recursive: true }));
const at = (name: string): Buffer => Buffer.from(path.join(top, name));

test('device numbers of every size', () => {
  for (const [major, minor] of [[1, 3], [0, 0], [4095, 255], [4096, 256], [0xffff_ffff, 0xffff_ffff], [259, 1_048_575]] as const) {
    const device = makeDevice(major, minor);
    assert.deepEqual([majorOf(device), minorOf(device)], [major, minor]);
  }
  makeNode(at('node'), 0o020600, makeDevice(259, 70_000));
  assert.equal(lstatSync(at('node'), { bigint: true }).rdev, makeDevice(259, 70_000));
});

test('times to the nanosecond, before the epoch too, of a symlink itself', () => {
  writeFileSync(at('file'), '');
  symlinkSync('file', at('link'));
  setTimes(at('link'), 1n, -1_500_000_001n);
  setTimes(at('file'), 2n, 1_234_567_890_987_654_321n);
  assert.equal(lstatSync(at('link'), { bigint: true }).mtimeNs, -1_500_000_001n);
  assert.equal(statSync(at('file'), { bigint: true }).mtimeNs, 1_234_567_890_987_654_321n);
});

test('attributes are bytes', () => {
  writeFileSync(at('x'), '');
  chownSync(at('x'), 1, 1);
  const value = Buffer.from([0, 255, 10, 61]);
  setXattr(at('x'), 'user.binary', value);
  setXattr(at('x'), 'user.empty', Buffer.alloc(0));
  setXattr(at('x'), 'user.large', Buffer.alloc(2000, 'l'));
  assert.deepEqual(listXattrs(at('x')).toSorted(), ['user.binary', 'user.empty', 'user.large']);
  assert.deepEqual([getXattr(at('x'), 'user.binary'), getXattr(at('x'), 'user.empty')?.length, getXattr(at('x'), 'user.large')?.length], [value, 0, 2000]);
  assert.equal(getXattr(at('x'), 'user.none'), undefined);
  assert.throws(() => getXattr(at('none'), 'user.none'), { code: 'ENOENT' });
  assert.throws(() => setXattr(Buffer.from('a\0b'), 'user.a', value), RangeError);
});

test('mounts, on this thread and on another', async () => {
  mkdirSync(at('mnt'));
  const target = path.join(top, 'mnt');
  mountSync({ source: 'none', target, type: 'tmpfs', data: 'size=1m' });
  await mount({ source: 'none', target, type: 'tmpfs' });
  await umount(target);
  umountSync(target, MNT_DETACH);
  await assert.rejects(umount(target), { code: 'EINVAL', syscall: 'umount2' });
  await assert.rejects(mount({ source: 'none', target, type: 'no-such-type' }), { code: 'ENODEV' });
});
