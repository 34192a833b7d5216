/** Judges the host: what every container stands on. Pure. */
import { otherDrivers } from '../core/container/otherDrivers.ts';
import { DATA_FORMAT } from '../store/dataVersion.ts';
import { checkUnit } from './checksUnit.ts';
import { isAlive } from './facts.ts';
import type { Facts, PendingRoot, RootFacts } from './facts.ts';
import type { Finding } from './finding.ts';
import { sizeText } from './sizeText.ts';

type Check = (facts: Facts) => Finding | Finding[];

const CHECKS: readonly Check[] = [
  privileges, daemon, configuration, liveRestore, checkUnit, dataRoot, dataFormat, execRoot, shimProgram, shimVersions, runtime, kernel, packetFilter, pipeLimit, storage, network, options, resolver, records, strays,
];

export const checkHost = (facts: Facts): Finding[] => CHECKS.flatMap((check) => check(facts));

const host = (finding: Omit<Finding, 'subject'>): Finding => ({ subject: 'host', ...finding });
const ok = (check: string, text: string): Finding => host({ level: 'ok', check, text });

function privileges({ host: { privileged } }: Facts): Finding[] {
  if (privileged) return [];
  return [host({ level: 'unknown', check: 'privileges', text: 'not root: records and shims of containers cannot be looked at', advice: 'run it with root privileges' })];
}

function daemon({ host: { daemonPid, privileged } }: Facts): Finding[] {
  if (!privileged) return [];
  if (daemonPid > 0) return [ok('daemon', `runs as process ${daemonPid}`)];
  return [host({ level: 'note', check: 'daemon', text: 'does not run; containers do not need it', advice: 'start it to manage them' })];
}

function configuration({ host: { config } }: Facts): Finding {
  if (config.error === '') return ok('configuration', `${config.file} can be used`);
  return host({ level: 'problem', check: 'configuration', text: config.error, advice: 'mend the file: the daemon will not start with it' });
}

const FLAGS_OF = { daemon: "the running daemon's flags", unit: "its unit's flags", arguments: 'no flags but those given here' } as const;

function liveRestore({ host: { config } }: Facts): Finding {
  const source = `by ${config.file} and ${FLAGS_OF[config.flagsOf]}`;
  if (config.error !== '') return host({ level: 'unknown', check: 'live restore', text: 'not known while the configuration cannot be read' });
  if (config.liveRestore) return ok('live restore', `on, ${source}`);
  return host({ level: 'problem', check: 'live restore', text: `off, ${source}: containers are stopped with the daemon`, advice: 'set "live-restore": true there and reload the daemon' });
}

/** Below this much room a start or a log fails soon. */
const LITTLE_BYTES = 64n * 1024n * 1024n;
const LITTLE_INODES = 1000n;

function pendingRoot({ option, wanted, used }: PendingRoot): Finding {
  return host({ level: 'note', check: option.replace('-', ' '), text: `${wanted} waits until no container of ${used} runs`, advice: 'stop them and restart the daemon to use the new one' });
}

function dataRoot({ host: { dataRoot: root, pendingRoots } }: Facts): Finding[] {
  const waiting = pendingRoots.filter(({ option }) => option === 'data-root').map(pendingRoot);
  return [...waiting, rootFinding('data root', root) ?? ok('data root', `${root.path}: ${sizeText(root.freeBytes)} of ${sizeText(root.totalBytes)} free`)];
}

function dataFormat({ host: { privileged, dataFormat: { condition, schema, release } } }: Facts): Finding[] {
  const check = 'data format';
  // Release 0.1.0 wrote none. What may not be read is said once, of all.
  if (condition.kind === 'missing' || !privileged) return [];
  if (condition.kind !== 'ok') return [host({ level: condition.kind === 'unreadable' ? 'unknown' : 'note', check, text: `the data root's version cannot be read: ${condition.reason}` })];
  if (schema <= DATA_FORMAT) return [ok(check, `${schema}, last written by moored ${release}`)];
  return [host({ level: 'problem', check, text: `${schema}, of moored ${release}; this release reads up to ${DATA_FORMAT} and will not start`, advice: `start moored ${release}, or a later one` })];
}

function execRoot({ host: { execRoot: root, pendingRoots } }: Facts): Finding[] {
  const findings = pendingRoots.filter(({ option }) => option === 'exec-root').map(pendingRoot);
  if (root.exists && root.type !== 'tmpfs') findings.push(host({ level: 'note', check: 'exec root', text: `${root.path} is on ${root.type}, not on a tmpfs`, advice: 'put it below /run: what it holds is void after a reboot' }));
  const bad = rootFinding('exec root', root);
  if (bad !== undefined) findings.push(bad);
  return findings.length > 0 ? findings : [ok('exec root', `${root.path}: ${sizeText(root.freeBytes)} free`)];
}

function rootFinding(check: string, root: RootFacts): Finding | undefined {
  if (!root.exists) return host({ level: 'note', check, text: `${root.path} does not exist`, advice: 'right if nothing was ever started; else name the one that is used' });
  if (root.readOnly) return host({ level: 'problem', check, text: `${root.path} is read-only: nothing can be recorded`, advice: 'look at the disk, then mount it for writing again' });
  const fewInodes = root.totalInodes > 0n && root.freeInodes < LITTLE_INODES;
  if (root.freeBytes < LITTLE_BYTES || fewInodes) {
    const text = `${root.path}: ${sizeText(root.freeBytes)}${fewInodes ? ` and ${root.freeInodes} inodes` : ''} free: log lines are dropped when it is full, and nothing can be created`;
    return host({ level: 'problem', check, text, advice: 'make room' });
  }
  if (root.freeBytes * 20n < root.totalBytes) return host({ level: 'note', check, text: `${root.path}: only ${sizeText(root.freeBytes)} of ${sizeText(root.totalBytes)} free`, advice: 'make room' });
  return undefined;
}

/** The major of the contract that this release's daemon speaks. */
const CONTRACT_MAJOR = '1';

function shimProgram({ host: { shim } }: Facts): Finding {
  if (shim.path === '') return host({ level: 'problem', check: 'moored-shim', text: 'was not found', advice: 'install it beside the daemon: no container can be started' });
  if (shim.error !== '') return host({ level: 'problem', check: 'moored-shim', text: `${shim.path} cannot be run: ${shim.error}`, advice: 'install it again' });
  if (shim.contract.split('.')[0] !== CONTRACT_MAJOR) {
    return host({ level: 'problem', check: 'moored-shim', text: `${shim.path} speaks contract ${shim.contract || 'unknown'}, this release ${CONTRACT_MAJOR}`, advice: 'install the shim of this release' });
  }
  return ok('moored-shim', `${shim.path} ${shim.version}, contract ${shim.contract}`);
}

/** Contract 1.0 knows no replacement in place. */
const UPGRADABLE_SINCE = 1;

/** Shims of another release: they go on working, with what they know. */
function shimVersions({ host: { shim }, containers }: Facts): Finding[] {
  const others = containers.filter((container) => isAlive(container) && container.shimStatus !== undefined && container.shimStatus.shimVersion !== shim.version);
  if (shim.version === '' || others.length === 0) return [];
  const names = others.map(({ name, id, shimStatus }) => `${name || id.slice(0, 12)} (${shimStatus?.shimVersion})`).join(', ');
  const inPlace = others.every(({ shimStatus }) => Number(shimStatus?.contract.split('.')[1]) >= UPGRADABLE_SINCE);
  const advice = inPlace ? 'moored shim-upgrade --all replaces them in place' : 'they are replaced when their containers stop; moored shim-upgrade --all replaces in place those that can be';
  return [host({ level: 'note', check: 'shims', text: `of another release than the installed ${shim.version}: ${names}`, advice })];
}

function runtime({ host: { runtime: found } }: Facts): Finding {
  if (found.path === '') return host({ level: 'problem', check: 'runtime', text: `${found.name} was not found: nothing can be started, restarted or executed`, advice: 'install it, or name its path with --add-runtime' });
  if (found.error !== '') return host({ level: 'problem', check: 'runtime', text: `${found.path} cannot be run: ${found.error}`, advice: 'install it again' });
  return ok('runtime', `${found.name} ${found.version} (${found.path})`);
}

function kernel({ host: { kernel: found } }: Facts): Finding[] {
  const lacking: [boolean, string, Finding['level']][] = [
    [found.pidfd, 'no pidfd (Linux 5.3): a container whose shim died cannot be given another', 'problem'],
    [found.seccomp, 'no seccomp: containers run without a filter of system calls', 'note'],
    [found.overlay, 'overlay is not loaded: without it images are copied (vfs)', 'note'],
  ];
  const findings = lacking.flatMap(([there, text, level]) => (there ? [] : [host({ level, check: 'kernel', text })]));
  return findings.length > 0 ? findings : [ok('kernel', `${found.release}: overlay, seccomp, pidfd, cgroup v${found.cgroupVersion}`)];
}

function packetFilter({ host: { nft, config } }: Facts): Finding[] {
  if (!config.filters) return [host({ level: 'note', check: 'nftables', text: 'switched off by the configuration: ports are relayed by shims only' })];
  if (nft.path === '') return [host({ level: 'problem', check: 'nftables', text: 'nft was not found: published ports and isolation of networks cannot be set', advice: 'install nftables' })];
  return nft.error === '' ? [ok('nftables', `${nft.version} (${nft.path})`)] : [host({ level: 'problem', check: 'nftables', text: `${nft.path} cannot be run: ${nft.error}`, advice: 'install it again' })];
}

function pipeLimit({ host: { kernel: { pipeMaxSize }, config: { pipeSize } } }: Facts): Finding {
  if (pipeMaxSize === 0) return host({ level: 'unknown', check: 'pipe size', text: '/proc/sys/fs/pipe-max-size cannot be read' });
  if (pipeSize > pipeMaxSize) {
    return host({ level: 'note', check: 'pipe size', text: `log-pipe-size ${sizeText(BigInt(pipeSize))} is more than fs.pipe-max-size ${sizeText(BigInt(pipeMaxSize))}`, advice: 'raise fs.pipe-max-size; root with CAP_SYS_RESOURCE gets it nevertheless' });
  }
  return ok('pipe size', `${sizeText(BigInt(pipeSize))} of at most ${sizeText(BigInt(pipeMaxSize))}`);
}

function storage({ host: { config }, containers }: Facts): Finding[] {
  // Without the option each container's driver is as good as another.
  if (config.storageDriver === '') return [];
  const lines = otherDrivers(config.storageDriver, containers.map(({ storageDriver }) => storageDriver));
  return lines.length === 0 ? [ok('storage driver', config.storageDriver)] : lines.map((text) => host({ level: 'note', check: 'storage driver', text }));
}

function network({ host: { networkChanges, defaultNetworkUsed } }: Facts): Finding[] {
  if (networkChanges.error !== '') return [host({ level: defaultNetworkUsed ? 'note' : 'problem', check: 'network', text: `options of the default network cannot be met: ${networkChanges.error}`, advice: 'mend the options' })];
  if (networkChanges.names.length === 0) return [];
  const names = networkChanges.names.join(', ');
  const text = defaultNetworkUsed ? `options of the default network wait until no running container uses it: ${names}` : `options of the default network count from the daemon's next start: ${names}`;
  return [host({ level: 'note', check: 'network', text, advice: defaultNetworkUsed ? 'stop its containers, then restart the daemon' : 'restart the daemon' })];
}

function options({ host: { optionChanges } }: Facts): Finding[] {
  return optionChanges.map((text) => host({ level: 'note', check: 'options', text }));
}

const WITHOUT_NAMES = ['bridge', 'host', 'none'];

/** Containers on networks that users made have names; who answers for them need not be the daemon. */
function resolver({ host: { resolverPid }, containers }: Facts): Finding[] {
  const users = containers.filter((container) => isAlive(container) && container.networks.some((name) => !WITHOUT_NAMES.includes(name)));
  if (users.length === 0) return [];
  if (resolverPid > 0) return [ok('names', `are resolved by process ${resolverPid}`)];
  return [host({ level: 'problem', check: 'names', text: `no resolver runs: names do not resolve in ${users.map(({ name, id }) => name || id.slice(0, 12)).join(', ')}`, advice: 'start or restart the daemon' })];
}

function records({ host: { quarantined, listError } }: Facts): Finding[] {
  const findings: Finding[] = [];
  if (listError !== '') findings.push(host({ level: 'unknown', check: 'records', text: `containers cannot be listed: ${listError}` }));
  for (const file of quarantined) findings.push(host({ level: 'note', check: 'records', text: `${file} was set aside as unreadable`, advice: 'restore it from a backup, or remove it' }));
  return findings;
}

function strays({ host: { strays: found, daemonPid } }: Facts): Finding[] {
  // While a daemon creates or removes a container, its folder is there without a record for a moment.
  if (daemonPid > 0 && found.every(({ alive }) => !alive)) return [];
  return found.map(({ id, alive }) => host(alive
    ? { level: 'problem', check: 'strays', text: `container ${id.slice(0, 12)} runs without a record in the data root`, advice: 'start the daemon with the data root it was started with, or restore its folder there' }
    : { level: 'note', check: 'strays', text: `container ${id.slice(0, 12)} left its folder in the exec root`, advice: "nothing: the daemon's next start removes it" }));
}

/** How many containers live, for the last line. */
export const livingOf = ({ containers }: Facts): number => containers.filter(isAlive).length;

