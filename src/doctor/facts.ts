/** What the doctor knows of a host: gathered by `collect*.ts`, judged by `checks*.ts`. Nothing here is judged yet. */
import type { Desired } from '../core/container/record.ts';
import type { Liveness, ShimStatus } from '../core/ports/shim.ts';

/** How reading something went: `ok`, that it is not there, or what is wrong with it. */
export type Condition = { readonly kind: 'ok' } | { readonly kind: 'missing' } | { readonly kind: 'damaged' | 'newer' | 'unreadable'; readonly reason: string };

export interface ProgramFacts {
  /** Empty: not found. */
  readonly path: string;
  /** What it says of itself; empty if it says nothing. */
  readonly version: string;
  /** Why it could not be run, or empty. */
  readonly error: string;
}

export interface ShimProgramFacts extends ProgramFacts {
  /** The contract that it speaks (`1.0`), or empty. */
  readonly contract: string;
}

export interface RootFacts {
  readonly path: string;
  readonly exists: boolean;
  /** Of the filesystem below it. */
  readonly type: string;
  readonly readOnly: boolean;
  readonly freeBytes: bigint;
  readonly totalBytes: bigint;
  readonly freeInodes: bigint;
  /** 0: the filesystem does not count them. */
  readonly totalInodes: bigint;
}

/** An option that counts when no container of the root in use runs any more. */
export interface PendingRoot {
  readonly option: 'data-root' | 'exec-root';
  readonly wanted: string;
  readonly used: string;
}

export interface UnitFacts {
  readonly name: string;
  readonly killMode: string;
  readonly delegate: boolean;
  /** `no`: a daemon that crashes stays away. */
  readonly restart: string;
  /** Settings that give it a mount namespace of its own, as `PrivateTmp=yes`. */
  readonly confining: readonly string[];
  /** It has systemd remove the exec root when it stops. */
  readonly removesExecRoot: boolean;
  /** Whether the unit that stops containers in order when the host goes down is active. */
  readonly stopsWithHost: boolean;
  /** Whether systemd keeps the API socket while no daemon is there. */
  readonly keepsSocket: boolean;
}

export interface KernelSummary {
  readonly release: string;
  readonly overlay: boolean;
  readonly seccomp: boolean;
  readonly pidfd: boolean;
  readonly cgroupVersion: 1 | 2;
  /** Bytes: fs.pipe-max-size; 0 if it cannot be read. */
  readonly pipeMaxSize: number;
}

export interface ConfigFacts {
  readonly file: string;
  /** Why it cannot be used, or empty. */
  readonly error: string;
  readonly liveRestore: boolean;
  /** Bytes asked for. */
  readonly pipeSize: number;
  readonly storageDriver: string;
  /** The packet filter is wanted. */
  readonly filters: boolean;
  /** Where flags were taken from: the running daemon, the service's unit, or nowhere but our own arguments. */
  readonly flagsOf: 'daemon' | 'unit' | 'arguments';
}

export interface HostFacts {
  /** All files can be read and all processes looked at. */
  readonly privileged: boolean;
  /** Pid of the daemon that holds the data root; 0 if none does. */
  readonly daemonPid: number;
  /** The daemon does not see the mounts that we see; undefined if none runs, or it cannot be known. */
  readonly daemonConfined: boolean | undefined;
  readonly config: ConfigFacts;
  /** Which format the data root has, and the release that wrote it last. */
  readonly dataFormat: { readonly condition: Condition; readonly schema: number; readonly release: string };
  readonly dataRoot: RootFacts;
  readonly execRoot: RootFacts;
  /** Roots that the options name, where they have to wait. */
  readonly pendingRoots: readonly PendingRoot[];
  /** Undefined: no systemd, or no such unit. */
  readonly unit: UnitFacts | undefined;
  readonly kernel: KernelSummary;
  readonly nft: ProgramFacts;
  readonly runtime: ProgramFacts & { readonly name: string };
  readonly shim: ShimProgramFacts;
  /** Changes of network options that are not in effect, in the options' names; or why they cannot be met. */
  readonly networkChanges: { readonly names: readonly string[]; readonly error: string };
  /** What does not reach containers that run, and what the daemon has not taken over yet; one line each. */
  readonly optionChanges: readonly string[];
  /** Pid of the process that resolves names for containers; 0 if none runs. */
  readonly resolverPid: number;
  /** The default network is used by a running container. */
  readonly defaultNetworkUsed: boolean;
  /** Folders in the exec root without a container. */
  readonly strays: readonly { readonly id: string; readonly alive: boolean }[];
  /** Records that were set aside as unreadable, below the data root. */
  readonly quarantined: readonly string[];
  /** The containers could not be listed, and why; or empty. */
  readonly listError: string;
}

export interface PortFacts {
  /** `tcp 0.0.0.0:8080`. */
  readonly wanted: readonly string[];
  readonly missing: readonly string[];
  /** Why the sockets could not be looked at, or empty. */
  readonly error: string;
  /** Taken by other processes, so that nothing leads from there to the container. */
  readonly lost?: readonly string[];
}

/** A log that is handed on to a target (syslog, journald, fluentd, gelf). */
export interface LogTargetFacts {
  readonly driver: string;
  /** Why the last attempt failed, or empty. */
  readonly error: string;
  /** Bytes of the log that wait. */
  readonly behindBytes: number;
  /** Times that the log was rotated away before it was delivered, and at least so many bytes of it. */
  readonly gaps: number;
  readonly lostBytes: number;
}

export interface ContainerFacts {
  readonly id: string;
  /** Empty if its record cannot be read. */
  readonly name: string;
  readonly desired: Desired | undefined;
  readonly storageDriver: string;
  /** When it was created and last started by an order; 0: not known. */
  readonly createdNs: bigint;
  readonly launchedNs: bigint;
  readonly record: Condition;
  readonly view: Condition;
  /** Only looked at while it lives. */
  readonly sandbox: Condition;
  /** Networks that its sandbox is on. */
  readonly networks: readonly string[];
  readonly status: Condition;
  readonly shimStatus: ShimStatus | undefined;
  readonly shim: Liveness['shim'] | 'stopped';
  /** The contract that its shim speaks, or empty. */
  readonly contract: string;
  readonly init: Liveness['init'];
  /** The service in whose cgroup its shim lies, so that it would end with it; or empty. */
  readonly shimService: string;
  /** Bytes asked of the log pipe when it started; undefined if its shim's orders cannot be read. */
  readonly pipeAsked: number | undefined;
  /** Undefined: it has no namespace of its own. */
  readonly netnsPinned: boolean | undefined;
  /** Undefined: not known where it is, or its driver mounts nothing. */
  readonly rootfs: { readonly path: string; readonly mounted: boolean } | undefined;
  readonly ports: PortFacts;
  /** Undefined: its log goes to no target, or nothing is known of it. */
  readonly logTarget: LogTargetFacts | undefined;
}

export interface Facts {
  readonly host: HostFacts;
  readonly containers: readonly ContainerFacts[];
}

/** Something of it runs, or may start again by itself. */
export const isAlive = ({ shim, init, shimStatus }: Pick<ContainerFacts, 'shim' | 'init' | 'shimStatus'>): boolean =>
  init === 'alive' || (shim !== 'gone' && shimStatus?.state !== 'exited');
