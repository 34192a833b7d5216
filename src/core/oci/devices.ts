/** Devices of a container: which nodes it has, and which device numbers its cgroup allows. */
import { invalid } from '../../base/errors.ts';
import type { HostConfig } from '../container/config.ts';
import type { OciDevice, OciDeviceRule } from './types.ts';

/** A device node of the host. */
export interface DeviceNode {
  /** Relative to the path that was asked for; empty for that path itself. */
  readonly relative: string;
  readonly type: 'c' | 'b' | 'p';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The host's devices; `sys/devices.ts` reads them. */
export interface HostDevices {
  /** The node at a path (links followed), or all nodes below a directory. Throws an Error with the reason. */
  at(path: string): DeviceNode[];
  /** All of /dev, relative to it, for `--privileged`. */
  all(): DeviceNode[];
  /** Numbers of a block device, for I/O limits. Throws `stat /x: no such file or directory`. */
  numbers(path: string): { major: number; minor: number };
}

const EVERYTHING: OciDeviceRule = { allow: true, access: 'rwm' };

/** What every container may use: null, zero, full, random, urandom, tty, console; not fuse. The runtime adds ptmx and pts. */
const DEFAULT_RULES: readonly OciDeviceRule[] = [
  { allow: false, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 1, access: 'rwm' },
  { allow: false, type: 'c', major: 10, minor: 229, access: 'rwm' },
];

export interface ContainerDevices {
  readonly devices: OciDevice[];
  readonly rules: OciDeviceRule[];
}

/** Nodes and rules by `--device`, `--device-cgroup-rule` and `--privileged`. */
export function containerDevices(host: HostConfig, available: HostDevices): ContainerDevices {
  const devices: OciDevice[] = [];
  const rules: OciDeviceRule[] = [];
  if (host.privileged) devices.push(...available.all().map((node) => toOci(node, `/dev/${node.relative}`)));
  for (const mapping of host.devices) {
    // A privileged container has it already.
    if (host.privileged && mapping.pathOnHost === mapping.pathInContainer) continue;
    for (const node of nodesOf(mapping.pathOnHost, available)) {
      const path = node.relative === '' ? mapping.pathInContainer : `${mapping.pathInContainer}/${node.relative}`;
      devices.push(toOci(node, path));
      rules.push({ allow: true, type: node.type, major: node.major, minor: node.minor, access: mapping.cgroupPermissions });
    }
  }
  if (host.privileged) return { devices: byPath(devices), rules: [EVERYTHING] };
  return { devices: byPath(devices), rules: [...DEFAULT_RULES, ...rules, ...host.deviceCgroupRules.map(parseDeviceRule)] };
}

function nodesOf(path: string, available: HostDevices): DeviceNode[] {
  let reason = 'not a device node';
  try {
    const nodes = available.at(path);
    if (nodes.length > 0) return nodes;
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error);
  }
  throw invalid(`error gathering device information while adding custom device "${path}": ${reason}`);
}

/** The last one that names a path wins: the runtime would fail on the second mknod. */
const byPath = (devices: OciDevice[]): OciDevice[] => [...new Map(devices.map((device) => [device.path, device])).values()];

const toOci = (node: DeviceNode, path: string): OciDevice => ({
  type: node.type,
  path,
  major: node.major,
  minor: node.minor,
  fileMode: node.fileMode,
  uid: node.uid,
  gid: node.gid,
});

const RULE = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/;

/** `c 42:* rmw`; invalid `invalid device cgroup rule format: 'x'`. */
export function parseDeviceRule(text: string): OciDeviceRule {
  const match = RULE.exec(text);
  if (match === null) throw invalid(`invalid device cgroup rule format: '${text}'`);
  const [, type = '', major = '*', minor = '*', access = ''] = match;
  return {
    allow: true,
    type,
    ...(major !== '*' && { major: Number(major) }),
    ...(minor !== '*' && { minor: Number(minor) }),
    access,
  };
}
