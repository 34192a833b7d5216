/** Linux capabilities as Docker names, defaults and adjusts them (`--cap-add`, `--cap-drop`, `--privileged`). */
import { invalid } from '../../base/errors.ts';

/** By number: the kernel's order. */
const ALL = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_DAC_READ_SEARCH', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL', 'CAP_SETGID',
  'CAP_SETUID', 'CAP_SETPCAP', 'CAP_LINUX_IMMUTABLE', 'CAP_NET_BIND_SERVICE', 'CAP_NET_BROADCAST', 'CAP_NET_ADMIN',
  'CAP_NET_RAW', 'CAP_IPC_LOCK', 'CAP_IPC_OWNER', 'CAP_SYS_MODULE', 'CAP_SYS_RAWIO', 'CAP_SYS_CHROOT',
  'CAP_SYS_PTRACE', 'CAP_SYS_PACCT', 'CAP_SYS_ADMIN', 'CAP_SYS_BOOT', 'CAP_SYS_NICE', 'CAP_SYS_RESOURCE',
  'CAP_SYS_TIME', 'CAP_SYS_TTY_CONFIG', 'CAP_MKNOD', 'CAP_LEASE', 'CAP_AUDIT_WRITE', 'CAP_AUDIT_CONTROL',
  'CAP_SETFCAP', 'CAP_MAC_OVERRIDE', 'CAP_MAC_ADMIN', 'CAP_SYSLOG', 'CAP_WAKE_ALARM', 'CAP_BLOCK_SUSPEND',
  'CAP_AUDIT_READ', 'CAP_PERFMON', 'CAP_BPF', 'CAP_CHECKPOINT_RESTORE',
] as const;

const KNOWN: ReadonlySet<string> = new Set(ALL);

/** What a container has if nobody says anything (Docker's fourteen). */
export const DEFAULT_CAPABILITIES: readonly string[] = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FSETID', 'CAP_FOWNER', 'CAP_MKNOD', 'CAP_NET_RAW', 'CAP_SETGID', 'CAP_SETUID',
  'CAP_SETFCAP', 'CAP_SETPCAP', 'CAP_NET_BIND_SERVICE', 'CAP_SYS_CHROOT', 'CAP_KILL', 'CAP_AUDIT_WRITE',
];

/** The names of a mask of capabilities, bit by bit. */
export const capabilityNames = (mask: bigint): string[] => ALL.filter((_name, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);

/** `net_admin` → `CAP_NET_ADMIN`, `all` → `ALL`; invalid `unknown capability: "CAP_X"`. */
export function normalizeCapabilities(names: readonly string[]): string[] {
  return names.map((name) => {
    const upper = name.toUpperCase();
    if (upper === 'ALL') return upper;
    const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
    if (!KNOWN.has(full)) throw invalid(`unknown capability: "${full}"`);
    return full;
  });
}

export interface CapabilityRequest {
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly privileged: boolean;
  /** Mask of what can be given at all: what the daemon has. */
  readonly available: bigint;
}

/** The capabilities a container starts with, without doubles. */
export function effectiveCapabilities(request: CapabilityRequest): string[] {
  const all = capabilityNames(request.available);
  if (request.privileged) return all;
  const add = normalizeCapabilities(request.add);
  const drop = new Set(normalizeCapabilities(request.drop));
  if (add.includes('ALL')) return all.filter((name) => !drop.has(name));
  if (drop.has('ALL')) return [...new Set(add)];
  return [...new Set([...DEFAULT_CAPABILITIES.filter((name) => !drop.has(name)), ...add])];
}
