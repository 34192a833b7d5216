/** What systemd is told of the daemon's service: settings by which containers would not outlive it. */
import { readlinkSync } from 'node:fs';
import { unitProperties } from '../sys/systemd.ts';
import type { UnitFacts } from './facts.ts';

const UNIT = 'moored.service';

/** Each gives a service its own view of mounts, which ends with it; `no` and what stands for it are the harmless values. */
const CONFINING = ['PrivateMounts', 'PrivateTmp', 'PrivateDevices', 'ProtectSystem', 'ProtectHome', 'ProtectKernelTunables', 'ProtectControlGroups', 'MountFlags', 'RootDirectory', 'ReadOnlyPaths', 'InaccessiblePaths'];
const HARMLESS = new Set(['', 'no', '0', 'shared']);

/** Undefined without systemd, or without such a unit. */
export async function unitFacts(execRoot: string): Promise<UnitFacts | undefined> {
  const [own, containers, socket] = await Promise.all([
    unitProperties(UNIT, ['LoadState', 'KillMode', 'Delegate', 'Restart', 'RuntimeDirectory', 'RuntimeDirectoryPreserve', ...CONFINING]),
    unitProperties('moored-containers.service', ['ActiveState']),
    unitProperties('moored.socket', ['ActiveState']),
  ]);
  if (own.get('LoadState') !== 'loaded') return undefined;
  const removed = own.get('RuntimeDirectoryPreserve') === 'no' ? (own.get('RuntimeDirectory') ?? '').split(' ').filter((name) => name !== '') : [];
  return {
    name: UNIT,
    killMode: own.get('KillMode') ?? '',
    delegate: own.get('Delegate') === 'yes',
    restart: own.get('Restart') ?? '',
    confining: CONFINING.flatMap((name) => (HARMLESS.has(own.get(name) ?? '') ? [] : [`${name}=${own.get(name)}`])),
    removesExecRoot: removed.some((name) => `${execRoot}/`.startsWith(`/run/${name}/`)),
    stopsWithHost: containers.get('ActiveState') === 'active',
    keepsSocket: socket.get('ActiveState') === 'active',
  };
}

/** Flags of the unit's ExecStart; undefined without systemd or a unit. */
export async function unitFlags(): Promise<string[] | undefined> {
  const command = /argv\[\]=(\S+(?: [^;]*?)?) ;/.exec((await unitProperties(UNIT, ['ExecStart'])).get('ExecStart') ?? '')?.[1];
  return command?.split(' ').slice(1);
}

/** Whether a daemon sees other mounts than we do; undefined if it cannot be known. */
export function isConfined(daemonPid: number): boolean | undefined {
  if (daemonPid === 0) return undefined;
  try {
    return readlinkSync(`/proc/${daemonPid}/ns/mnt`) !== readlinkSync('/proc/self/ns/mnt');
  } catch {
    return undefined;
  }
}
