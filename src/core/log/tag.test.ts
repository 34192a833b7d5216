import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkTag, expandTag } from './tag.ts';

const subject = { id: 'a'.repeat(64), name: 'web', imageId: `sha256:${'b'.repeat(64)}`, imageName: 'busybox:1', hostname: 'h', command: ['sh', '-c', 'true'] };

test('fields are filled in, other text stays', () => {
  assert.equal(expandTag('plain', subject), 'plain');
  assert.equal(expandTag('{{.Name}}/{{ .ID }}', subject), `web/${'a'.repeat(12)}`);
  assert.equal(expandTag('{{.ImageID}} {{.ImageFullID}} {{.ImageName}}', subject), `${'b'.repeat(12)} sha256:${'b'.repeat(64)} busybox:1`);
  assert.equal(expandTag('{{.FullID}} {{.Hostname}} {{.Command}} {{.DaemonName}}', subject), `${'a'.repeat(64)} h sh -c true docker`);
});

test('what is no field is refused before the start', () => {
  for (const template of ['{{.Nothing}}', '{{.constructor}}', '{{index .Labels "x"}}', '{{}}']) {
    assert.throws(() => checkTag(template), { kind: 'invalid' });
    assert.throws(() => expandTag(template, subject), { kind: 'invalid' });
  }
  checkTag('{{.Name}} {{ not closed');
});
