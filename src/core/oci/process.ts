/** The OCI process: of a container, of an exec session, of a health probe. */
import { effectiveCapabilities } from './capabilities.ts';
import { containerEnv, mergeEnv } from './env.ts';
import { parseSecurityOpt } from './securityOpt.ts';
import type { ContainerConfig, HostConfig, Ulimit } from '../container/config.ts';
import type { OciCapabilities, OciProcess, OciRlimit } from './types.ts';
import type { ResolvedUser } from './user.ts';

/** Open files of every container that asks for nothing else: systemd's numbers, not what the daemon happens to have. */
const NOFILE = { soft: 1024, hard: 524_288 };

/** Limits that stand in every spec, as far as the daemon may give them. */
export const baseUlimits = (maxNofile: number): Ulimit[] => [
  { name: 'nofile', soft: Math.min(NOFILE.soft, maxNofile), hard: Math.min(NOFILE.hard, maxNofile) },
];

/** What the processes of one container have in common. */
export interface ProcessInput {
  readonly config: ContainerConfig;
  readonly host: HostConfig;
  readonly user: ResolvedUser;
  /** Variables of `--link`. */
  readonly linkedEnv: readonly string[];
  /** The daemon's `default-ulimits`, under the container's own. */
  readonly defaultUlimits: readonly Ulimit[];
  readonly noNewPrivilegesDefault: boolean;
  /** Name of the AppArmor profile that containers get; absent: AppArmor is off, and requests for it are passed over. */
  readonly apparmorProfile?: string;
  /** Mask of the capabilities that can be given. */
  readonly capabilities: bigint;
  /** The highest hard limit of open files that can be given. */
  readonly maxNofile: number;
}

/** The container's main process; `args` is the whole command. */
export function containerProcess(input: ProcessInput, args: readonly string[]): OciProcess {
  const [height, width] = input.host.consoleSize;
  const sized = input.config.tty && height > 0 && width > 0;
  return {
    ...base(input, input.host.privileged),
    args: [...args],
    terminal: input.config.tty,
    ...(sized && { consoleSize: { height, width } }),
    cwd: input.config.workingDir === '' ? '/' : input.config.workingDir,
    env: environment(input, input.config.tty),
  };
}

export interface ExecRequest {
  readonly args: readonly string[];
  /** Over the container's. */
  readonly env: readonly string[];
  /** Empty: the container's. */
  readonly workingDir: string;
  readonly privileged: boolean;
  readonly tty: boolean;
  readonly consoleSize?: { readonly height: number; readonly width: number };
}

/** An exec session's process. `input.user` is the one of the request, or the container's. */
export function execProcess(input: ProcessInput, request: ExecRequest): OciProcess {
  const configured = input.config.workingDir === '' ? '/' : input.config.workingDir;
  return {
    ...base(input, input.host.privileged || request.privileged),
    args: [...request.args],
    terminal: request.tty,
    ...(request.consoleSize !== undefined && request.tty && { consoleSize: { ...request.consoleSize } }),
    cwd: request.workingDir === '' ? configured : request.workingDir,
    env: mergeEnv(environment(input, request.tty), request.env),
  };
}

const DEFAULT_SHELL = ['/bin/sh', '-c'];

/** The health probe's process, or undefined if there is no probe to run. */
export function probeProcess(input: ProcessInput): OciProcess | undefined {
  const args = probeCommand(input.config);
  if (args === undefined) return undefined;
  return execProcess(input, { args, env: [], workingDir: '', privileged: false, tty: false });
}

/** The health probe's program and arguments, or undefined if there is no probe to run. */
export function probeCommand({ healthcheck, shell }: ContainerConfig): string[] | undefined {
  const [kind, ...rest] = healthcheck?.test ?? [];
  if (kind === 'CMD') return rest;
  if (kind === 'CMD-SHELL') return [...(shell.length > 0 ? shell : DEFAULT_SHELL), ...rest];
  return undefined;
}

const environment = ({ config, linkedEnv }: ProcessInput, tty: boolean): string[] =>
  containerEnv({ hostname: config.hostname, tty, linked: linkedEnv, configured: config.env });

function base(input: ProcessInput, privileged: boolean) {
  const security = parseSecurityOpt(input.host.securityOpt, input.noNewPrivilegesDefault);
  const apparmor = input.apparmorProfile === undefined ? undefined : apparmorOf(input, security.apparmorProfile, privileged);
  const { uid, gid, additionalGids } = input.user;
  return {
    user: { uid, gid, ...(additionalGids.length > 0 && { additionalGids: [...additionalGids] }) },
    capabilities: capabilitiesOf(input, privileged),
    rlimits: rlimits(input.host.ulimits, [...baseUlimits(input.maxNofile), ...input.defaultUlimits]),
    noNewPrivileges: security.noNewPrivileges,
    ...(apparmor !== undefined && { apparmorProfile: apparmor }),
    oomScoreAdj: input.host.oomScoreAdj,
  };
}

function apparmorOf(input: ProcessInput, asked: string, privileged: boolean): string | undefined {
  if (asked !== '') return asked;
  return privileged ? 'unconfined' : input.apparmorProfile;
}

/** Only root starts with them in force; for others they bound what a set-uid program can get. */
function capabilitiesOf({ host, capabilities, user }: ProcessInput, privileged: boolean): OciCapabilities {
  const names = effectiveCapabilities({ add: host.capAdd, drop: host.capDrop, privileged, available: capabilities });
  return user.uid === 0 ? { bounding: names, effective: names, permitted: names } : { bounding: names };
}

/** The container's own before the defaults, of which the last counts; one of each kind. */
function rlimits(own: readonly Ulimit[], defaults: readonly Ulimit[]): OciRlimit[] {
  const merged = new Map<string, Ulimit>();
  for (const limit of [...defaults, ...own]) merged.set(limit.name.toLowerCase(), limit);
  return [...merged.values()].map(({ name, soft, hard }) => ({
    type: `RLIMIT_${name.toUpperCase()}`,
    soft: unlimitedIfNegative(soft),
    hard: unlimitedIfNegative(hard),
  }));
}

const RLIM_INFINITY = 2n ** 64n - 1n;
const unlimitedIfNegative = (value: number): number | bigint => (value < 0 ? RLIM_INFINITY : value);
