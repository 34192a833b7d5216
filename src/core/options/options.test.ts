import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { configure, notices, reload } from './configure.ts';
import { parseCommandLine } from './flags.ts';
import { helpText } from './help.ts';
import { isExposed, parseHost } from './hosts.ts';
import { OPTIONS, optionList } from './table.ts';
import type { Config } from './table.ts';

const PATH = '/etc/docker/daemon.json';

function source(args: readonly string[], text?: string | Uint8Array) {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return { flags: parseCommandLine(args).values, file: { path: PATH, bytes } };
}

const start = (args: readonly string[], text?: string | Uint8Array): Config => configure(source(args, text));

test('flags in every form that pflag takes', () => {
  const config = start(['--debug=false', '-l', 'warn', '-Hunix:///a', '--host=tcp://127.0.0.1:1', '-D', '--dns', '1.1.1.1', '--log-opt', 'max-size=1m', '--log-opt=max-file=3', '--default-shm-size', '128MiB', '--default-ulimit=nofile=1024:2048', '--mtu=-0']);
  assert.equal(config.debug, true);
  assert.equal(config.logLevel, 'warn');
  assert.deepEqual(config.hosts, ['unix:///a', 'tcp://127.0.0.1:1']);
  assert.deepEqual({ ...config.logOpts }, { 'max-size': '1m', 'max-file': '3' });
  assert.equal(config.defaultShmSize, 128 * 1024 * 1024);
  assert.deepEqual(config.defaultUlimits['nofile'], { soft: 1024n, hard: 2048n });
  assert.equal(parseCommandLine(['--debug', '--version']).version, true);
  assert.equal(parseCommandLine(['-h']).help, true);
});

test('flags that are refused', () => {
  const cases: [string[], string][] = [
    [['--nope'], 'unknown flag: --nope'],
    [['--graph=/x'], 'unknown flag: --graph'],
    [['-g', '/x'], "unknown shorthand flag: 'g' in -g"],
    [['--mtu'], 'flag needs an argument: --mtu'],
    [['-H'], "flag needs an argument: 'H' in -H"],
    [['--mtu=x'], 'invalid argument "x" for "--mtu" flag: strconv.ParseInt: parsing "x": invalid syntax'],
    [['--debug=maybe'], 'invalid argument "maybe" for "-D, --debug" flag: strconv.ParseBool: parsing "maybe": invalid syntax'],
    [['--=x'], 'bad flag syntax: --=x'],
  ];
  for (const [args, message] of cases) {
    assert.throws(() => parseCommandLine(args), { kind: 'invalid', message: `${message}\nSee 'moored --help'.` });
  }
  assert.throws(() => parseCommandLine(['serve']), /"moored" accepts no arguments/);
});

test('what the file may be', () => {
  for (const text of ['', ' \n', '{}', 'null', '\ufeff{}']) assert.equal(start([], text).debug, false);
  const utf16 = Buffer.from('\ufeff{"debug":true}', 'utf16le');
  assert.equal(start([], utf16).debug, true);
  assert.equal(start([], Buffer.from(utf16).swap16()).debug, true);
  assert.equal(start([]).debug, false);
  const full = start([], `{"runtimes":{"gv":{"path":"/r","runtimeArgs":["--x"]}},"log-opts":{"max-size":"10m"},"proxies":{"http-proxy":"http://p","no-proxy":"x"},
    "features":{"buildkit":true,"whatever":false},"builder":{"gc":{"enabled":true}},"default-address-pools":[{"base":"10.0.0.0/8","size":24}],
    "default-ulimits":{"nofile":{"Name":"nofile","Soft":1,"Hard":2}},"exec-opts":["native.cgroupdriver=systemd"],"default-shm-size":"1g","deprecated-key-path":"x",
    "allow-nondistributable-artifacts":["a"],"default-network-opts":{"bridge":{"a":"b"}},"live-restore":true,"log-pipe-size":"512KiB"}`);
  assert.equal(full.runtimes['gv']?.path, '/r');
  assert.equal(full.httpProxy, 'http://p');
  assert.deepEqual(full.defaultAddressPools, [{ base: '10.0.0.0/8', size: 24 }]);
  assert.equal(full.defaultShmSize, 1024 ** 3);
  assert.equal(full.logPipeSize, 512 * 1024);
  assert.equal(full.liveRestore, true);
  assert.deepEqual(full.hosts, ['']);
});

test('the file’s errors, in dockerd’s words', () => {
  const merged = 'merged configuration validation from file and command line flags failed: ';
  const both = 'the following directives are specified both as a flag and in the configuration file: ';
  const cases: [string, string, string[]?][] = [
    ['{', 'invalid JSON: unexpected end of JSON input'],
    ['{"debug": tru}', "invalid JSON: invalid character '}' in literal true (expecting 'e')"],
    ['[]', 'invalid JSON: json: cannot unmarshal array into Go value of type map[string]interface {}'],
    ['{"debug":"yes"}', 'json: cannot unmarshal string into Go struct field Config.debug of type bool'],
    ['{"live-restor":true,"graph":"/x"}', "the following directives don't match any configuration option: live-restor, graph"],
    ['{"proxies":{"ftp-proxy":"x"}}', "the following directives don't match any configuration option: ftp-proxy"],
    ['{"live-restore":false}', `${both}live-restore: (from flag: true, from file: false)`, ['--live-restore']],
    ['{"labels":["a=b"],"mtu":1400}', `${both}labels: (from flag: [c=d], from file: [a=b]), mtu: (from flag: 1300, from file: 1400)`, ['--label=c=d', '--mtu=1300']],
    ['{"log-opts":{"a":"b"}}', `${both}log-opts: (from flag: map[c:d], from file: map[a:b])`, ['--log-opt=c=d']],
    ['{"proxies":{"http-proxy":"http://u:p@h"}}', `${both}http-proxy: (from flag: http://xxxxx:xxxxx@h2, from file: http://xxxxx:xxxxx@h)`, ['--http-proxy=http://a:b@h2']],
    ['{"host-gateway-ip":"1.1.1.1","host-gateway-ips":["1.1.1.2"]}', `${merged}host-gateway-ip and host-gateway-ips must not both be specified in the config file`],
    ['{"labels":["foo=bar","foo=baz"]}', `${merged}conflict labels for foo=baz and foo=bar`],
    ['{"labels":["one"]}', `${merged}bad attribute format: one`],
    ['{"mtu":-10}', `${merged}invalid default MTU: -10`],
    ['{"max-concurrent-downloads":-10}', `${merged}invalid max concurrent downloads: -10`],
    ['{"max-concurrent-uploads":-10}', `${merged}invalid max concurrent uploads: -10`],
    ['{"max-download-attempts":-10}', `${merged}invalid max download attempts: -10`],
    ['{"default-stop-timeout":-1}', `${merged}invalid default stop timeout: -1`],
    ['{"network-diagnostic-port":65536}', `${merged}invalid network-diagnostic-port (65536): value must be between 0 and 65535`],
    ['{"log-level":"foobar"}', `${merged}invalid logging level: foobar`],
    ['{"log-format":"x"}', `${merged}invalid log format: x`],
    ['{"exec-opts":["no-value"]}', `${merged}invalid exec-opt (no-value): must be formatted 'opt=value'`],
    ['{"exec-opts":["x=y"]}', `${merged}invalid exec-opt (x=y): unknown option: 'x'`],
    ['{"hosts":["127.0.0.1:2375/path"]}', `${merged}invalid bind address (127.0.0.1:2375/path): should not contain a path element`],
    ['{"userland-proxy-path":"docker-proxy"}', `${merged}invalid userland-proxy-path: must be an absolute path: docker-proxy`],
    ['{"default-ipc-mode":"host"}', `${merged}IPC mode "host" is not supported as default value; use "shareable" or "private"`],
    ['{"default-ipc-mode":"x"}', `${merged}default IPC mode setting (x) is invalid; use "shareable" or "private"`],
    ['{"default-cgroupns-mode":"x"}', `${merged}invalid default cgroup namespace (x): use "host" or "private"`],
    ['{"firewall-backend":"x"}', `${merged}invalid firewall-backend: allowed values are "iptables" and "nftables"`],
    ['{"default-runtime":"nope"}', `${merged}specified default runtime 'nope' does not exist`],
    ['{"runtimes":{"runc":{"path":"/x"}}}', "runtime name 'runc' is reserved"],
  ];
  for (const [text, message, args] of cases) {
    assert.throws(() => start(args ?? [], text), { kind: 'invalid', message: `unable to configure the Docker daemon with file ${PATH}: ${message}` }, text);
  }
  assert.throws(() => start([], Buffer.from([0x7b, 0x7d, 0xff])), /failed to decode configuration JSON at offset 2: invalid UTF-8/);
  assert.throws(() => start(['--mtu=-1']), { message: 'invalid default MTU: -1' });
});

test('flag and file together where that is allowed', () => {
  const config = start(['--add-runtime', 'a=/a'], '{"runtimes":{"b":{"path":"/b"}},"default-runtime":"a"}');
  assert.deepEqual(Object.keys(config.runtimes), ['a', 'b']);
});

test('reload applies what it can, names what waits, and changes nothing on an error', () => {
  const flags = ['--debug', '--label=x=y'];
  const before = start(flags, '{"live-restore":true,"mtu":1400}');
  const { config, changed, pending } = reload(before, source(flags, '{"log-level":"error","bip":"10.9.0.1/24"}'));
  assert.deepEqual(new Set(changed), new Set(['liveRestore', 'logLevel']));
  assert.deepEqual(new Set(pending), new Set(['mtu', 'bip']));
  assert.equal(config.liveRestore, false, 'a key that is gone has its default again');
  assert.equal(config.mtu, 1400, 'what waits for a restart is as it was');
  assert.equal(config.debug, true, 'flags hold');
  assert.deepEqual(reload(config, source(flags, '{"log-level":"error","mtu":1400}')), { config, changed: [], pending: [] });
  assert.throws(() => reload(before, source(flags, '{"labels":["a=b"]}')), /unable to configure the Docker daemon .*: the following directives are specified both/);
  assert.throws(() => reload(before, source(flags, '{"mtu":-1}')), { message: 'file configuration validation failed: invalid default MTU: -1' });
});

test('hosts', () => {
  assert.deepEqual(parseHost('', false), { protocol: 'unix', path: '/var/run/docker.sock' });
  assert.deepEqual(parseHost('', true), { protocol: 'tcp', host: 'localhost', port: 2376 });
  assert.deepEqual(parseHost('unix://', false), { protocol: 'unix', path: '/var/run/docker.sock' });
  assert.deepEqual(parseHost('fd://', false), { protocol: 'fd', name: '' });
  assert.deepEqual(parseHost('tcp://', false), { protocol: 'tcp', host: 'localhost', port: 2375 });
  assert.deepEqual(parseHost(':2375', false), { protocol: 'tcp', host: 'localhost', port: 2375 });
  assert.deepEqual(parseHost('tcp://[::1]:80', true), { protocol: 'tcp', host: '::1', port: 80 });
  assert.deepEqual(parseHost('10.0.0.1', true), { protocol: 'tcp', host: '10.0.0.1', port: 2376 });
  for (const bad of ['udp://x', 'tcp://a:b:c', 'unix://tcp://x', 'tcp://h:99999', 'tcp://h?q']) assert.throws(() => parseHost(bad, false), { kind: 'invalid' }, bad);
  assert.ok(isExposed(parseHost('tcp://0.0.0.0', false), false));
  assert.ok(!isExposed(parseHost('tcp://127.0.0.1', false), false));
  assert.ok(!isExposed(parseHost('tcp://0.0.0.0', false), true));
});

test('the table is sound, and --help shows all of it', () => {
  const names = optionList.map(([, option]) => option.flag ?? '').filter((name) => name !== '');
  assert.equal(new Set(names).size, names.length);
  const keys = optionList.map(([, option]) => option.key?.join('.') ?? '').filter((name) => name !== '');
  assert.equal(new Set(keys).size, keys.length);
  const help = helpText();
  for (const name of names) assert.match(help, new RegExp(`  --${name}|, --${name}`), name);
  assert.match(help, /--icc +Enable .* \(default true\)/);
  assert.match(help, /-H, --host list +Daemon/);
  for (const [, option] of optionList) {
    if (option.flag !== undefined && !option.kind.isSwitch) assert.doesNotThrow(() => option.kind.print(option.initial));
  }
});

test('options without effect are named once', () => {
  assert.deepEqual(notices(start([])), []);
  assert.deepEqual(notices(start(['--userland-proxy=false'], '{"selinux-enabled":true}')), [
    { key: 'selinux-enabled', status: 'not-yet' },
  ]);
});

test('tlsverify brings TLS', () => {
  assert.equal(start(['--tlsverify']).tls, true);
  assert.equal(start([], '{"tlsverify":false}').tls, true);
  assert.equal(start([]).tls, false);
});

test('no input breaks the readers in another way than by refusing it', () => {
  const flags = Object.values(OPTIONS).flatMap((option) => ('flag' in option ? [`--${option.flag}`] : []));
  const arg = fc.oneof(fc.constantFrom(...flags), fc.string(), fc.constantFrom('-', '--', '-D', '-H', '=', '--mtu=1'));
  fc.assert(
    fc.property(fc.array(arg, { maxLength: 6 }), fc.option(fc.uint8Array({ maxLength: 40 })), (args, bytes) => {
      try {
        configure({ flags: parseCommandLine(args).values, file: { path: PATH, bytes: bytes ?? undefined } });
      } catch (error) {
        assert.equal((error as { kind?: string }).kind, 'invalid', String(error));
      }
    }),
  );
});
