import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseJson } from '../base/json.ts';
import {
  anything, array, bigInt64, bool, decode, decodeBody, encodeJson, field, float64, int, int64, map, mapped, nullable, omitEmpty,
  optional, string, stringOrStrings, stringSet, struct, time, uint16,
} from './goJson.ts';
import type { Infer } from './goJson.ts';

const HostConfig = struct('container.HostConfig', {
  memory: field('Memory', int64),
  binds: field('Binds', nullable(array(string))),
});
const Config = struct('container.Config', {
  image: field('Image', string),
  labels: field('Labels', map(string)),
  cmd: field('Cmd', stringOrStrings),
  ports: omitEmpty('ExposedPorts', stringSet),
  stopTimeout: optional('StopTimeout', int),
});
const Create = struct('container.CreateRequest', { ...Config.fields, hostConfig: field('HostConfig', HostConfig) });
type Create = Infer<typeof Create>;

test('keys match without regard to case, the unknown is ignored, null is the zero value', () => {
  const create: Create = decode(
    Create,
    parseJson('{"image":"a","IMAGE":"b","Nope":[1],"hostconfig":{"memory":5,"Binds":null},"Labels":null,"Cmd":"x"}'),
  );
  assert.equal(create.image, 'b');
  assert.deepEqual(create.hostConfig, { memory: 5, binds: null });
  assert.deepEqual({ ...create.labels }, {});
  assert.deepEqual(create.cmd, ['x']);
  assert.equal(create.stopTimeout, undefined);
});

test('writes fields in order, keeps null and empty apart, leaves out what omitempty leaves out', () => {
  const text = encodeJson(Create, { ...Create.zero(), image: 'i', cmd: [], labels: { b: '2', a: '1' } });
  assert.equal(text, '{"Image":"i","Labels":{"a":"1","b":"2"},"Cmd":[],"HostConfig":{"Memory":0,"Binds":null}}');
  const full = encodeJson(Create, { ...Create.zero(), ports: new Set(['80/tcp', '1/udp']), stopTimeout: 0 });
  assert.match(full, /"ExposedPorts":\{"1\/udp":\{\},"80\/tcp":\{\}\},"StopTimeout":0,/);
});

test('an int64 keeps its digits', () => {
  const Event = struct('events.Message', { timeNano: field('timeNano', bigInt64), more: field('more', anything) });
  const text = '{"timeNano":1763900000123456789,"more":{"deep":[9223372036854775807,1.5]}}';
  assert.equal(encodeJson(Event, decode(Event, parseJson(text))), text);
});

test('wrong types are refused in Docker’s words', () => {
  const cases: [string, string][] = [
    ['{"HostConfig":{"Memory":"1g"}}', 'json: cannot unmarshal string into Go struct field HostConfig.HostConfig.Memory of type int64'],
    ['{"HostConfig":{"Memory":1.5}}', 'json: cannot unmarshal number 1.5 into Go struct field HostConfig.HostConfig.Memory of type int64'],
    ['{"HostConfig":[]}', 'json: cannot unmarshal array into Go struct field CreateRequest.HostConfig of type container.HostConfig'],
    ['{"Image":true}', 'json: cannot unmarshal bool into Go struct field CreateRequest.Image of type string'],
    ['{"Labels":{"a":1}}', 'json: cannot unmarshal number into Go struct field CreateRequest.Labels of type string'],
    ['{"Labels":["a"]}', 'json: cannot unmarshal array into Go struct field CreateRequest.Labels of type map[string]string'],
    ['"x"', 'json: cannot unmarshal string into Go value of type container.CreateRequest'],
    ['{"Image":', 'unexpected EOF'],
    ['{"Image":x', "invalid character 'x' looking for beginning of value"],
    ['', 'got EOF while reading request body'],
    [' \n', 'got EOF while reading request body'],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => decodeBody(Create, text), { kind: 'invalid', message: `invalid JSON: ${message}` }, text);
  }
  assert.throws(() => decodeBody(Create, '{} {}'), { message: 'unexpected content after JSON' });
});

test('integers are bounded by their Go type', () => {
  const Port = struct('Port', { port: field('port', uint16) });
  assert.throws(() => decodeBody(Port, '{"port":65536}'), /number 65536 into Go struct field Port.port of type uint16/);
  assert.throws(() => decodeBody(Port, '{"port":-1}'), /number -1/);
  assert.throws(() => decodeBody(Port, '{"port":1e2}'), /number 1e2/);
  assert.throws(() => decodeBody(struct('T', { n: field('n', float64) }), '{"n":1e999}'), /1e999/);
});

test('hostile keys stay data', () => {
  const create = decode(Create, parseJson('{"Labels":{"__proto__":"x","constructor":"y"}}'));
  assert.equal(create.labels['__proto__'], 'x');
  assert.match(encodeJson(Create, create), /"Labels":\{"__proto__":"x","constructor":"y"\}/);
  assert.equal(({} as Record<string, unknown>)['x'], undefined);
});

test('times and mapped values go both ways', () => {
  const Mode = mapped(string, {
    from: (text): 'on' | 'off' => (text === 'on' ? 'on' : 'off'),
    to: (mode) => mode,
  });
  const T = struct('T', { at: field('at', time), mode: field('mode', Mode), flag: field('flag', bool) });
  const text = '{"at":"2026-11-23T15:00:00.000000001Z","mode":"on","flag":true}';
  assert.equal(encodeJson(T, decodeBody(T, text)), text);
  assert.equal(decodeBody(T, '{}').at, 0n);
  assert.throws(() => decodeBody(T, '{"at":"yesterday"}'), /^MooredError: invalid JSON: parsing time "yesterday"/);
});

test('what is written is read back', () => {
  const names = fc.record({ Image: fc.string(), Labels: fc.dictionary(fc.string(), fc.string()), Cmd: fc.option(fc.array(fc.string())) });
  fc.assert(
    fc.property(names, (value) => {
      const decoded = decodeBody(Create, JSON.stringify(value));
      assert.deepEqual(decodeBody(Create, encodeJson(Create, decoded)), decoded);
    }),
  );
});
