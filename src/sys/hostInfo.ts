/** What /proc, /etc and PATH say about the host. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, hostname, release, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { goArch } from './hostFacts.ts';

export interface HostDescription {
  hostname: string;
  kernelVersion: string;
  operatingSystem: string;
  osVersion: string;
  architecture: string;
  cpus: number;
  memoryBytes: bigint;
}

const KERNEL_ARCH: Readonly<Record<string, string>> = { amd64: 'x86_64', arm64: 'aarch64' };

/** `architecture` is the kernel's name (`x86_64`), as `docker info` has it. */
export function describeHost(): HostDescription {
  const release_ = osRelease();
  return {
    hostname: hostname(),
    kernelVersion: release(),
    operatingSystem: release_.get('PRETTY_NAME') ?? 'Linux',
    osVersion: release_.get('VERSION_ID') ?? '',
    architecture: KERNEL_ARCH[goArch()] ?? goArch(),
    cpus: cpus().length === 0 ? availableParallelism() : cpus().length,
    memoryBytes: BigInt(totalmem()),
  };
}

function osRelease(): Map<string, string> {
  const path = ['/etc/os-release', '/usr/lib/os-release'].find((each) => existsSync(each));
  if (path === undefined) return new Map();
  return new Map(readFileSync(path, 'utf8').split('\n').flatMap((line): [string, string][] => {
    const match = /^([A-Z_]+)=(?:"(.*)"|'(.*)'|(.*))$/.exec(line);
    return match === null ? [] : [[match[1] ?? '', match[2] ?? match[3] ?? match[4] ?? '']];
  }));
}

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();

const STUB_RESOLVER = /^\s*nameserver\s+127\.0\.0\.53\s*$/m;
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf';

/** /etc/resolv.conf, or systemd-resolved's own list where that names only its stub. Empty if there is none. */
export async function hostResolvConf(): Promise<string> {
  const text = await textOf('/etc/resolv.conf');
  return STUB_RESOLVER.test(text) && existsSync(RESOLVED_CONF) ? textOf(RESOLVED_CONF) : text;
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return '';
    throw error;
  }
}

/** The first executable of these names on PATH. */
export function findExecutable(...names: string[]): string | undefined {
  const folders = (process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin').split(delimiter);
  for (const name of names) {
    const candidates = name.includes('/') ? [name] : folders.map((folder) => join(folder, name));
    const found = candidates.find(isExecutable);
    if (found !== undefined) return found;
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
