/** What kernel and machine can do, as far as a container's spec depends on it. Read once. */
import { existsSync, readFileSync } from 'node:fs';
import { arch, release } from 'node:os';

export interface KernelFacts {
  /** As Go names it: amd64, arm64. */
  readonly arch: string;
  readonly kernel: { readonly major: number; readonly minor: number };
  /** Mask of our own effective capabilities. */
  readonly capabilities: bigint;
  /** The highest hard limit of open files that we can give a child. */
  readonly maxNofile: number;
  readonly seccomp: boolean;
  /** mount_setattr. */
  readonly recursiveReadOnly: boolean;
  sysctlExists(name: string): boolean;
}

const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', mips64el: 'mips64le', ppc64: 'ppc64le' };

/** The architecture as Go, Docker and images name it. */
export const goArch = (): string => GO_ARCH[arch()] ?? arch();

export function readHostFacts(proc = '/proc'): KernelFacts {
  const kernel = parseRelease(release());
  const capabilities = effectiveCapabilities(proc);
  return {
    arch: goArch(),
    kernel,
    capabilities,
    maxNofile: maxNofile(proc, capabilities),
    seccomp: /^Seccomp:/m.test(textOf(`${proc}/self/status`)),
    recursiveReadOnly: kernel.major > 5 || (kernel.major === 5 && kernel.minor >= 12),
    sysctlExists: (name) => existsSync(`${proc}/sys/${name.replaceAll('.', '/')}`),
  };
}

/** `6.1.0-13-amd64` → 6 and 1. */
export function parseRelease(text: string): { major: number; minor: number } {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return { major: Number(match?.[1] ?? 0), minor: Number(match?.[2] ?? 0) };
}

const effectiveCapabilities = (proc: string): bigint =>
  BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(textOf(`${proc}/self/status`))?.[1] ?? '0'}`);

const CAP_SYS_RESOURCE = 24n;

/** Above one's own hard limit only with CAP_SYS_RESOURCE, and never above the kernel's. */
function maxNofile(proc: string, capabilities: bigint): number {
  const own = /^Max open files\s+\S+\s+(\S+)/m.exec(textOf(`${proc}/self/limits`))?.[1] ?? '';
  const mayRaise = ((capabilities >> CAP_SYS_RESOURCE) & 1n) === 1n;
  const kernel = Number.parseInt(textOf(`${proc}/sys/fs/nr_open`), 10);
  const hard = mayRaise || own === 'unlimited' ? kernel : Number(own);
  return Number.isNaN(hard) ? DEFAULT_NR_OPEN : hard;
}

const DEFAULT_NR_OPEN = 1_048_576;

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
