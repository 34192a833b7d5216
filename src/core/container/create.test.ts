import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testConfig, testHostConfig } from '../oci/configs.fixture.ts';
import { parseBind, parseVolumesFrom } from './bind.ts';
import type { ContainerConfig, HostConfig } from './config.ts';
import { planCreate } from './create.ts';
import type { CreateInput, CreatePlan } from './create.ts';
import { mergeImageConfig } from './merge.ts';
import { cleanPath } from './mountCheck.ts';
import { resolveMounts } from './mounts.ts';
import type { MountPoint } from './mounts.ts';
import { randomName } from './names.ts';
import type { SysInfo } from './sysInfo.ts';
import { planUpdate } from './update.ts';
import { checkContainerName } from './validate.ts';
import { parseNumberList } from './validateResources.ts';

const SYS: SysInfo = {
  cgroupVersion: 2, memoryLimit: true, swapLimit: true, memoryReservation: true, memorySwappiness: true, oomKillDisable: true, cpuShares: true,
  cpuCfs: true, cpuRealtime: false, cpuset: true, cpus: '0-1', mems: '0', pidsLimit: true, blkioWeight: true, blkioWeightDevice: true,
  blkioReadBpsDevice: true, blkioWriteBpsDevice: true, blkioReadIopsDevice: true, blkioWriteIopsDevice: true, cgroupNamespaces: true, ncpu: 2,
};
const ID = 'a'.repeat(64);
const IMAGE: ContainerConfig = { ...testConfig(), env: ['PATH=/bin', 'A=image'], cmd: ['sh'], labels: { l: 'image' }, workingDir: '/work', user: 'app', volumes: ['/data'], exposedPorts: ['80/tcp'] };

interface Ask { config?: Partial<ContainerConfig>; host?: Partial<HostConfig>; sys?: Partial<SysInfo>; networks?: CreateInput['networks']; image?: ContainerConfig | null }

const plan = (ask: Ask = {}): CreatePlan => planCreate({
  id: ID,
  config: { ...testConfig(), ...ask.config },
  host: { ...testHostConfig(), networkMode: '', ipcMode: '', runtime: '', logConfig: { type: '', config: {} }, shmSize: 0n, ...ask.host },
  networks: ask.networks ?? {},
  image: ask.image === undefined ? IMAGE : ask.image,
  settings: {
    logDriver: 'json-file', logOpts: { 'max-size': '10m', 'max-file': '3' }, defaultRuntime: 'runc', runtimes: { runc: { path: 'runc', args: [] } },
    cgroupDriver: 'cgroupfs', defaultShmSize: 67108864n, defaultIpcMode: 'private', defaultCgroupnsMode: '',
  },
  sys: { ...SYS, ...ask.sys },
  hostname: 'thehost',
  containerId: (name) => (name === 'db' ? 'b'.repeat(64) : undefined),
});

test('defaults', () => {
  const { config, host, networks, path, args, warnings } = plan({ host: { memory: 2n ** 30n, logConfig: { type: '', config: { 'max-file': '5' } } } });
  assert.equal(config.hostname, ID.slice(0, 12));
  assert.equal(host.networkMode, 'bridge');
  assert.deepEqual(Object.keys(networks), ['bridge']);
  assert.deepEqual(host.logConfig, { type: 'json-file', config: { 'max-size': '10m', 'max-file': '5' } });
  assert.equal(host.shmSize, 67108864n);
  assert.equal(host.memorySwap, 2n ** 31n);
  assert.deepEqual([host.ipcMode, host.cgroupnsMode, host.runtime], ['private', 'private', 'runc']);
  assert.ok((host.maskedPaths ?? []).includes('/proc/kcore'));
  assert.deepEqual([path, args, warnings], ['sh', [], []]);
  assert.equal(plan({ host: { privileged: true }, sys: { cgroupVersion: 1 } }).host.cgroupnsMode, 'host');
  assert.equal(plan({ host: { privileged: true } }).host.maskedPaths, null);
  assert.equal(plan({ host: { networkMode: 'host' } }).config.hostname, 'thehost');
  const joined = plan({ host: { networkMode: 'container:db', pidMode: 'container:db' } });
  assert.equal(joined.host.pidMode, `container:${'b'.repeat(64)}`);
  assert.deepEqual(joined.networks, {});
  assert.deepEqual(Object.keys(plan({ host: { networkMode: 'default' }, networks: { default: plan().networks['bridge'] ?? assert.fail() } }).networks), ['bridge']);
  assert.equal(plan({ host: { pidsLimit: 0n } }).host.pidsLimit, null);
});

test('the image says what the user does not', () => {
  const merged = mergeImageConfig({ ...testConfig(), env: ['A=user', 'B=1'], labels: { u: '1' }, volumes: ['/x'] }, IMAGE);
  assert.deepEqual(merged.env, ['A=user', 'B=1', 'PATH=/bin']);
  assert.deepEqual([merged.cmd, merged.entrypoint, merged.user, merged.workingDir], [['sh'], null, 'app', '/work']);
  assert.deepEqual([merged.labels, merged.volumes, merged.exposedPorts], [{ l: 'image', u: '1' }, ['/x', '/data'], ['80/tcp']]);
  const withEntrypoint = { ...IMAGE, entrypoint: ['/entry'] };
  const command = (config: Partial<ContainerConfig>): unknown[] => {
    const { entrypoint, cmd } = mergeImageConfig({ ...testConfig(), ...config }, withEntrypoint);
    return [entrypoint, cmd];
  };
  assert.deepEqual(command({}), [['/entry'], ['sh']]);
  assert.deepEqual(command({ cmd: ['x'] }), [['/entry'], ['x']]);
  assert.deepEqual(command({ entrypoint: ['/mine'] }), [['/mine'], null]);
  assert.deepEqual(command({ entrypoint: [''], cmd: ['x'] }), [null, ['x']]);
  assert.throws(() => command({ entrypoint: [''] }), { message: 'no command specified', kind: 'invalid' });
  const health = { test: ['CMD', 'a'], intervalNs: 5n, timeoutNs: 0n, startPeriodNs: 0n, startIntervalNs: 0n, retries: 2 };
  const mergedHealth = mergeImageConfig({ ...testConfig(), healthcheck: { ...health, test: [], retries: 9 } }, { ...IMAGE, healthcheck: health }).healthcheck;
  assert.deepEqual(mergedHealth, { ...health, retries: 9 });
});

test('what is refused, in Docker\'s words', () => {
  const refused: [Ask, string][] = [
    [{ host: { memory: 1n } }, 'Minimum memory limit allowed is 6MB'],
    [{ host: { memory: 10n ** 8n, memorySwap: 10n ** 7n } }, 'Minimum memoryswap limit should be larger than memory limit, see usage'],
    [{ host: { memorySwap: 10n ** 9n } }, 'You should always set the Memory limit when using Memoryswap limit, see usage'],
    [{ host: { nanoCpus: 3_000_000_000n } }, 'range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available'],
    [{ host: { cpusetCpus: '0-9' } }, 'Requested CPUs are not available - requested 0-9, available: 0-1'],
    [{ host: { cpusetCpus: 'x' } }, 'Invalid value x for cpuset cpus'],
    [{ host: { autoRemove: true, restartPolicy: { name: 'always', maximumRetryCount: 0 } } }, "can't create 'AutoRemove' container with restart policy"],
    [{ host: { restartPolicy: { name: 'always', maximumRetryCount: 3 } } }, "invalid restart policy: maximum retry count can only be used with 'on-failure'"],
    [{ host: { capAdd: ['nope'] } }, 'invalid CapAdd: unknown capability: "CAP_NOPE"'],
    [{ host: { networkMode: 'container:db' }, config: { hostname: 'x' } }, 'conflicting options: hostname and the network mode'],
    [{ host: { networkMode: 'container:db', portBindings: { '80/tcp': [] } } }, 'conflicting options: port publishing and the container type network mode'],
    [{ host: { networkMode: 'container:' } }, 'invalid container format container:<name|id>'],
    [{ host: { ipcMode: 'odd' } }, 'invalid IPC mode: odd'],
    [{ host: { oomScoreAdj: 2000 } }, 'Invalid value 2000, range for oom score adj is [-1000, 1000]'],
    [{ host: { runtime: 'gvisor' } }, 'unknown or invalid runtime name: gvisor'],
    [{ host: { portBindings: { '80/tcp': [{ hostIp: '', hostPort: '99999' }] } } }, 'invalid port specification: "99999"'],
    [{ config: { workingDir: 'rel' } }, "the working directory 'rel' is invalid, it needs to be an absolute path"],
    [{ config: { env: ['=x'] } }, 'invalid environment variable: =x'],
    [{ config: { stopSignal: 'SIGNOPE' } }, 'invalid signal: SIGNOPE'],
    [{ networks: { bridge: { ...plan().networks['bridge'] ?? assert.fail(), ipv4Address: '1.2.3.4', aliases: ['a'] } } },
      'invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only\nnetwork-scoped alias is supported only for containers in user defined networks'],
  ];
  for (const [ask, message] of refused) assert.throws(() => plan(ask), { message, kind: 'invalid' });
});

test('what the kernel cannot do is dropped, and said', () => {
  const { host, warnings } = plan({ host: { memory: 2n ** 30n, oomKillDisable: true, pidsLimit: 5n, networkMode: 'host', portBindings: { '80/tcp': [{ hostIp: '', hostPort: '1' }] } }, sys: { swapLimit: false, oomKillDisable: false, pidsLimit: false } });
  assert.deepEqual([host.memorySwap, host.oomKillDisable, host.pidsLimit], [-1n, null, null]);
  assert.deepEqual(warnings, [
    'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    'Your kernel does not support OomKillDisable. OomKillDisable discarded.',
    'Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.',
    'Published ports are discarded when using host network mode',
  ]);
});

test('names', () => {
  assert.equal(checkContainerName('/web-1'), 'web-1');
  for (const bad of ['', 'a', '-a', 'a b', '/']) assert.throws(() => checkContainerName(bad), { message: `Invalid container name (${bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed` });
  const taken = new Set<string>();
  for (let round = 0; round < 200; round += 1) {
    const name = randomName({ random: () => 0, taken: (each) => taken.has(each) || taken.size > 200 });
    checkContainerName(name);
    if (round === 0) taken.add(name);
    else break;
  }
});

test('lists of numbers', () => {
  assert.deepEqual(parseNumberList('0-2,5'), [0, 1, 2, 5]);
  for (const bad of ['2-1', 'a', '0-99999', '-1', '1,']) assert.equal(parseNumberList(bad), undefined, bad);
});

const none = { binds: [], mounts: [], volumesFrom: [], tmpfs: {}, volumeDriver: '' };
const context = { mountsOf: (): MountPoint[] => [], exists: (path: string) => path !== '/missing', newId: () => 'f'.repeat(64) };

test('mounts: binds, volumes, anonymous ones', () => {
  const { mounts, volumes } = resolveMounts({ volumes: ['/data', '/anon/'] }, { ...none, binds: ['/src:/dst:ro,rslave', 'vol:/data', '/only'] }, context);
  assert.deepEqual(mounts.map(({ type, name, source, destination, mode, rw, propagation, createSource, anonymous }) => ({ type, name, source, destination, mode, rw, propagation, createSource, anonymous })), [
    { type: 'bind', name: '', source: '/src', destination: '/dst', mode: 'ro,rslave', rw: false, propagation: 'rslave', createSource: true, anonymous: false },
    { type: 'volume', name: 'vol', source: '', destination: '/data', mode: 'z', rw: true, propagation: '', createSource: false, anonymous: false },
    { type: 'volume', name: 'f'.repeat(64), source: '', destination: '/only', mode: 'z', rw: true, propagation: '', createSource: false, anonymous: true },
    { type: 'volume', name: 'f'.repeat(64), source: '', destination: '/anon', mode: '', rw: true, propagation: '', createSource: false, anonymous: true },
  ]);
  assert.deepEqual(volumes.map(({ name }) => name.slice(0, 3)), ['vol', 'fff', 'fff']);
  const [inherited] = resolveMounts({ volumes: [] }, { ...none, volumesFrom: ['db:ro'] }, { ...context, mountsOf: () => mounts.slice(1, 2) }).mounts;
  assert.equal(inherited?.rw, false);
});

test('mounts: refusals', () => {
  const mount = { type: 'bind', source: '/s', target: '/t', readOnly: false, consistency: '' } as const;
  const refused: [Partial<HostConfig>, string][] = [
    [{ binds: ['/a:/x', '/b:/x/'] }, 'Duplicate mount point: /x'],
    [{ binds: ['/a:/x'], tmpfs: { '/x': '' } }, 'Duplicate mount point: /x'],
    [{ binds: ['/a:/x'], mounts: [{ ...mount, target: '/x' }] }, 'Duplicate mount point: /x'],
    [{ mounts: [{ ...mount, source: '/missing' }] }, 'invalid mount config for type "bind": bind source path does not exist: /missing'],
    [{ mounts: [{ ...mount, target: '' }] }, 'invalid mount config for type "bind": field Target must not be empty'],
    [{ mounts: [{ ...mount, target: 'rel' }] }, `invalid mount config for type "bind": invalid mount path: 'rel' mount path must be absolute`],
    [{ mounts: [{ ...mount, type: 'tmpfs' }] }, 'invalid mount config for type "tmpfs": field Source must not be specified'],
    [{ mounts: [{ ...mount, type: 'npipe' }] }, 'invalid mount config for type "npipe": mount type unknown'],
    [{ mounts: [{ ...mount, type: 'volume', source: 'v', volume: { noCopy: false, labels: {}, subpath: '../x' } }] }, 'invalid mount config for type "volume": subpath must be a relative path within the volume'],
    [{ binds: ['/a:/'] }, `invalid volume specification: '/a:/': invalid mount config for type "bind": invalid specification: destination can't be '/'`],
    [{ binds: ['/a:/b:odd'] }, 'invalid mode: odd'],
    [{ binds: ['/a:/b:ro:rw'] }, "invalid volume specification: '/a:/b:ro:rw'"],
    [{ binds: ['/a:ro'] }, "invalid volume specification: '/a:ro'"],
    [{ binds: ['v:/b:rslave'] }, `invalid volume specification: 'v:/b:rslave': invalid mount config for type "volume": field BindOptions must not be specified`],
  ];
  for (const [host, message] of refused) assert.throws(() => resolveMounts({ volumes: [] }, { ...none, ...host }, context), { message, kind: 'invalid' });
  assert.throws(() => parseVolumesFrom('a:nocopy'), { message: 'invalid mode: nocopy' });
});

test('a bind never hides its destination, whatever is written', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom('/', 'a', '..', '.', ':', 'ro', 'rw', ',', 'z', ' '), { maxLength: 10 }), (words) => {
    const text = words.join('');
    let mounts: MountPoint[];
    try {
      ({ mounts } = resolveMounts({ volumes: [] }, { ...none, binds: [text] }, context));
    } catch (error) {
      assert.equal((error as { kind?: string }).kind, 'invalid', text);
      return;
    }
    for (const { destination } of mounts) {
      assert.ok(destination.startsWith('/') && destination !== '/', text);
      assert.equal(cleanPath(destination), destination);
      assert.ok(!destination.split('/').includes('..'));
    }
    assert.doesNotThrow(() => parseBind(text, ''));
  }), { numRuns: 2000 });
});

test('update', () => {
  const resources = { ...testHostConfig(), memory: 0n };
  const current = { ...testHostConfig(), memory: 10n ** 8n, memorySwap: 2n * 10n ** 8n, cpuShares: 5 };
  const { host } = planUpdate(current, { resources: { ...resources, cpuShares: 7, pidsLimit: 9n }, restartPolicy: { name: 'always', maximumRetryCount: 0 } }, SYS);
  assert.deepEqual([host.cpuShares, host.memory, host.pidsLimit, host.restartPolicy.name], [7, 10n ** 8n, 9n, 'always']);
  assert.throws(() => planUpdate(current, { resources: { ...resources, memory: 10n ** 9n } }, SYS), /Memory limit should be smaller than already set memoryswap limit/);
  assert.throws(() => planUpdate({ ...current, nanoCpus: 1n }, { resources: { ...resources, cpuQuota: 5000n } }, SYS), { kind: 'conflict' });
});
