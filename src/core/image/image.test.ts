/** Configs, platforms, changes, patterns, lists: the pure rules about images. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { applyChanges } from './changes.ts';
import { chainIds } from './chain.ts';
import { decodeImageConfig, emptyDefaults, encodeImageConfig } from './config.ts';
import { compileGlob } from './glob.ts';
import type { Image } from './image.ts';
import { imageHistory, listImages, sharedSizes } from './list.ts';
import { choosePlatform, decodeManifest } from './manifest.ts';
import { formatPlatform, parsePlatform, platformRank } from './platform.ts';
import { splitWords } from './words.ts';

const DIFF = (character: string): string => `sha256:${character.repeat(64)}`;
const decode = (value: unknown) => decodeImageConfig(Buffer.from(JSON.stringify(value)));

test('a config is read as Go reads it', () => {
  const { config, os, diffIds } = decode({
    architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [DIFF('a')] }, unknown: 1,
    config: { cmd: 'one', Entrypoint: null, Env: ['A=1'], ExposedPorts: { '80/tcp': {} }, Volumes: { '/data': {} }, Labels: { a: 'b' }, StopTimeout: 5, Healthcheck: { Test: ['NONE'], Interval: 30000000000 } },
  });
  assert.deepEqual({ cmd: config.cmd, entrypoint: config.entrypoint, ports: config.exposedPorts, volumes: config.volumes, stopTimeout: config.stopTimeout, interval: config.healthcheck?.intervalNs, os, diffIds }, {
    cmd: ['one'], entrypoint: null, ports: ['80/tcp'], volumes: ['/data'], stopTimeout: 5, interval: 30_000_000_000n, os: 'linux', diffIds: [DIFF('a')],
  });
});

test('what is no config', () => {
  const bad: [unknown, string][] = [
    [[], 'image config is not a JSON object'],
    [{}, 'invalid image JSON, no RootFS key'],
    [{ rootfs: { diff_ids: ['../x'] } }, 'invalid diff id "../x" in image config'],
    [{ rootfs: {}, os: 1 }, 'invalid value of "os": a string expected'],
    [{ rootfs: {}, config: { Labels: { a: 1 } } }, 'invalid value of "Labels": an object of strings expected'],
    [{ rootfs: { diff_ids: Array.from({ length: 2000 }, () => DIFF('a')) } }, 'image has too many layers (2000)'],
  ];
  for (const [value, message] of bad) assert.throws(() => decode(value), { kind: 'invalid', message });
  assert.throws(() => decodeImageConfig(Buffer.alloc(9 * 1024 * 1024)), { message: 'image config is too large' });
});

test('any config that is read is the same after writing', () => {
  const text = fc.string({ maxLength: 8 });
  const texts = fc.array(text, { maxLength: 3 });
  const config = fc.record({
    User: text, Env: texts, Cmd: fc.option(texts), Entrypoint: fc.option(texts), WorkingDir: text, OnBuild: texts, Shell: texts, StopSignal: text, Tty: fc.boolean(),
    Labels: fc.dictionary(text, text, { maxKeys: 3 }), Healthcheck: fc.record({ Test: texts, Interval: fc.nat(), Retries: fc.nat() }), StopTimeout: fc.integer(),
  }, { requiredKeys: [] });
  const history = fc.array(fc.record({ created: text, created_by: text, comment: text, empty_layer: fc.boolean() }, { requiredKeys: [] }), { maxLength: 3 });
  fc.assert(fc.property(config, history, text, (given, steps, author) => {
    const read = decode({ architecture: 'arm64', variant: 'v8', author, config: given, history: steps, rootfs: { diff_ids: [DIFF('b')] } });
    assert.deepEqual(decodeImageConfig(encodeImageConfig(read)), read);
  }));
});

test('chain ids (the example of the OCI image spec is a recurrence)', () => {
  const [first, second] = chainIds([DIFF('a'), DIFF('b')]);
  assert.equal(first, DIFF('a'));
  assert.match(second ?? '', /^sha256:[a-f0-9]{64}$/);
  assert.deepEqual(chainIds([]), []);
});

test('platforms: one spelling for each, and what runs where', () => {
  const spellings: Record<string, string> = {
    'linux/x86_64': 'linux/amd64', 'linux/aarch64/8': 'linux/arm64', 'linux/arm64/v8': 'linux/arm64', 'linux/arm': 'linux/arm/v7', 'linux/armel': 'linux/arm/v6',
    arm64: 'linux/arm64', 'Linux/AMD64/v1': 'linux/amd64', 'windows/amd64': 'windows/amd64',
  };
  for (const [text, expected] of Object.entries(spellings)) assert.equal(formatPlatform(parsePlatform(text)), expected, text);
  const runs = (wanted: string, candidate: string) => platformRank(parsePlatform(wanted), parsePlatform(candidate));
  assert.equal(runs('linux/amd64', 'linux/amd64'), 0);
  assert.equal(runs('linux/amd64', 'linux/386'), 1);
  assert.equal(runs('linux/amd64', 'linux/amd64/v2'), undefined);
  assert.equal(runs('linux/amd64/v3', 'linux/amd64'), 2);
  assert.equal(runs('linux/arm/v7', 'linux/arm/v6'), 1);
  assert.ok((runs('linux/arm64', 'linux/arm/v7') ?? 0) > 0);
  assert.equal(runs('linux/amd64', 'windows/amd64'), undefined);
  assert.throws(() => parsePlatform('a/b/c/d'), { kind: 'invalid' });
});

test('an index gives its best entry, whatever the order', () => {
  const entry = (architecture: string, character: string) => ({ mediaType: 'x', digest: DIFF(character), size: 1, platform: { os: 'linux', architecture } });
  const index = decodeManifest(Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [entry('386', 'a'), { ...entry('amd64', 'b'), platform: undefined }, entry('amd64', 'c')] })), '');
  assert.ok(index.kind === 'index');
  assert.equal(choosePlatform(index, parsePlatform('linux/amd64'))?.digest, DIFF('c'));
  assert.equal(choosePlatform(index, parsePlatform('linux/s390x')), undefined);
});

test('changes', () => {
  const changed = applyChanges({ ...emptyDefaults(), env: ['A=old', 'B=2'], workingDir: '/srv' }, [
    'CMD echo hi', 'ENTRYPOINT ["/bin/x", "y"]', 'ENV A=new C="x $B" D=\'$B\'', 'ENV E f g', 'EXPOSE 80 53/udp 8000-8001', 'LABEL "a b"=c', 'USER www-data', 'WORKDIR app', 'VOLUME ["/v 1"]\nVOLUME /v2 /v3', 'ONBUILD RUN x', 'STOPSIGNAL SIGINT',
    'HEALTHCHECK --interval=5s --retries=2 CMD test -f \\\n /x',
  ]);
  assert.deepEqual(changed, {
    ...emptyDefaults(),
    cmd: ['/bin/sh', '-c', 'echo hi'], entrypoint: ['/bin/x', 'y'], env: ['A=new', 'B=2', 'C=x 2', 'D=$B', 'E=f g'], exposedPorts: ['80/tcp', '53/udp', '8000/tcp', '8001/tcp'],
    labels: { 'a b': 'c' }, user: 'www-data', workingDir: '/srv/app', volumes: ['/v 1', '/v2', '/v3'], onBuild: ['RUN x'], stopSignal: 'SIGINT',
    healthcheck: { test: ['CMD-SHELL', 'test -f  /x'], intervalNs: 5_000_000_000n, timeoutNs: 0n, startPeriodNs: 0n, startIntervalNs: 0n, retries: 2 },
  });
  const refusals: Record<string, string> = {
    'RUN x': 'run is not a valid change command', 'constructor x': 'constructor is not a valid change command', 'EXPOSE 99999': 'invalid containerPort: 99999', CMD: 'CMD requires at least one argument',
    'ENV a': `Syntax error - can't find = in "a". Must be of the form: name=value`, 'ONBUILD ONBUILD x': "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", 'HEALTHCHECK FOO': 'Unknown type "FOO" in HEALTHCHECK (try CMD)',
    'LABEL a="b': 'unexpected end of statement while looking for matching double-quote',
  };
  for (const [change, message] of Object.entries(refusals)) assert.throws(() => applyChanges(emptyDefaults(), [change]), { kind: 'invalid', message }, change);
});

test('words', () => {
  const lookup = (name: string): string | undefined => ({ A: '1', EMPTY: '' })[name];
  assert.deepEqual(splitWords('a "b c" \'d $A\' e\\ f $A${A}x ${NO:-d $A} ${A:+y}${EMPTY:+n} "\\$A"', lookup), ['a', 'b c', 'd $A', 'e f', '11x', 'd 1', 'y', '$A']);
});

test("patterns are Go's", () => {
  const cases: [string, string, boolean][] = [
    ['busybox', 'busybox', true], ['b*', 'busybox', true], ['*', 'a/b', false], ['*/b', 'a/b', true], ['busybox:?.*', 'busybox:1.36', true],
    ['[a-c]x', 'bx', true], ['[^a-c]x', 'bx', false], ['a\\*', 'a*', true], ['a.c', 'abc', false], ['***b', 'aab', true],
  ];
  for (const [pattern, text, expected] of cases) assert.equal(compileGlob(pattern)(text), expected, `${pattern} ${text}`);
  for (const pattern of ['[', 'a\\', '[a-]', '[b-a]']) assert.throws(() => compileGlob(pattern), { kind: 'invalid', message: 'syntax error in pattern' }, pattern);
});

const image = (id: string, more: Partial<Image>): Image => ({
  id, architecture: 'amd64', os: 'linux', variant: '', created: '2024-01-01T00:00:00Z', author: '', comment: '', config: emptyDefaults(), diffIds: [], history: [],
  repoTags: [], repoDigests: [], layerSizes: [], size: 0, addedNs: 0n, parent: '', ...more,
});
const FILTER = { all: false, dangling: undefined, references: [], createdBeforeNs: undefined, createdAfterNs: undefined, matchesLabels: () => true };

test('what docker images shows', () => {
  const images = [
    image('named', { repoTags: ['a:1', 'b/c:2'], created: '2024-01-02T00:00:00Z' }),
    image('dangling', {}),
    image('between', { created: '2024-01-03T00:00:00Z' }),
    image('child', { parent: 'between', repoTags: ['d:1'], created: '2024-01-04T00:00:00Z' }),
  ];
  const ids = (filter: object) => listImages(images, { ...FILTER, ...filter }).map(({ id }) => id);
  assert.deepEqual(ids({}), ['child', 'named', 'dangling']);
  assert.deepEqual(ids({ all: true }), ['child', 'between', 'named', 'dangling']);
  assert.deepEqual(ids({ dangling: true }), ['dangling']);
  assert.deepEqual(ids({ dangling: false }), ['child', 'named']);
  assert.deepEqual(listImages(images, { ...FILTER, references: ['b/*'] }).map(({ repoTags }) => repoTags), [['b/c:2']]);
  assert.deepEqual(ids({ createdAfterNs: 1704153600000000000n }), ['child']);
  assert.deepEqual(ids({ matchesLabels: () => false }), []);
});

test('shared bytes, and the history with empty steps', () => {
  const one = image('one', { diffIds: [DIFF('a'), DIFF('b')], layerSizes: [10, 20] });
  const two = image('two', { diffIds: [DIFF('a')], layerSizes: [10] });
  assert.deepEqual([...sharedSizes([one, two])], [['one', 10], ['two', 10]]);
  const step = (createdBy: string, emptyLayer: boolean) => ({ created: '', createdBy, author: '', comment: '', emptyLayer });
  const parent = { ...two, repoTags: ['p:1'], history: [step('base', false)] };
  const child = { ...one, repoTags: ['c:1'], history: [step('base', false), step('ENV', true), step('RUN', false)] };
  assert.deepEqual(imageHistory(child, [parent]).map(({ id, createdBy, size, tags }) => ({ id, createdBy, size, tags })), [
    { id: 'one', createdBy: 'RUN', size: 20, tags: ['c:1'] },
    { id: '<missing>', createdBy: 'ENV', size: 0, tags: [] },
    { id: 'two', createdBy: 'base', size: 10, tags: ['p:1'] },
  ]);
});
