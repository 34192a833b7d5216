/**
 * The daemon's side of the shim contract (docs/shim-contract.md), as the engine sees it. A shim holds one container
 * (through all its restarts) or one exec session; the daemon gives it orders over its socket and learns what happened
 * from its files and its journal. Losing the connection means nothing to the shim, losing the daemon neither.
 *
 * All times are nanoseconds since the epoch (0n: never). Every call that talks to a shim is bounded in time: one that
 * does not answer gives `unavailable`, one that is gone `not-found`.
 */
import type { Duplex } from 'node:stream';

/** An exit code, or that nobody saw it (law: unknown is a value, never 0). */
export type ExitCode = number | 'unknown';

export interface ShimRestartPolicy {
  readonly name: 'no' | 'always' | 'unless-stopped' | 'on-failure';
  /** For `on-failure`: how many restarts, 0 = no limit. */
  readonly maximumRetryCount: number;
}

export type ShimLogSpec =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'json-file';
      /** Absolute. */
      readonly path: string;
      /** Bytes; 0 = no rotation. */
      readonly maxSize: number;
      /** At least 1. */
      readonly maxFile: number;
      readonly compress: boolean;
      readonly mode: 'blocking' | 'non-blocking';
      /** Bytes held in non-blocking mode. */
      readonly bufferBytes?: number;
      /** What every line carries as `attrs`. */
      readonly attrs?: Readonly<Record<string, string>>;
    };

/** A host port that the shim holds: `fd` is the daemon's descriptor of the bound socket (the daemon closes its own after the launch). */
export type ShimPortSpec =
  | { readonly kind: 'reserve'; readonly fd: number }
  | { readonly kind: 'relay-tcp' | 'relay-udp'; readonly fd: number; readonly address: string; readonly port: number };

export interface ShimHealthSpec {
  /** File in the shim's directory with the probe's OCI process. */
  readonly processFile: string;
  /** The probe's command as the journal's `exec-create` shows it. */
  readonly command?: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

interface CommonShimSpec {
  readonly id: string;
  /** Absolute path of the OCI runtime, its `--root` and more global arguments. */
  readonly runtime: string;
  readonly runtimeRoot: string;
  readonly runtimeArgs?: readonly string[];
  readonly systemdCgroup?: boolean;
  readonly terminal: boolean;
  readonly consoleSize?: { readonly rows: number; readonly cols: number };
  /** OpenStdin: without it stdin is /dev/null. */
  readonly stdin: boolean;
  readonly stdinOnce?: boolean;
  /** Bytes for the stdio FIFOs; 0 = the kernel's default. */
  readonly pipeSize?: number;
  /** Where the exit record goes, absolute. */
  readonly exitPath: string;
  /** Soft and hard RLIMIT_NOFILE for the runtime. */
  readonly rlimitNofile?: { readonly soft: number; readonly hard: number };
  /** Directories into whose `cgroup.procs` the shim writes itself. */
  readonly shimCgroups?: readonly string[];
}

export interface ContainerShimSpec extends CommonShimSpec {
  readonly log: ShimLogSpec;
  /** The event journal, absolute, in the data root. */
  readonly journalPath: string;
  readonly cgroup: {
    readonly version: 1 | 2;
    /** Directory with the OOM counter. */
    readonly memoryDir?: string;
    /** Directory whose `cgroup.procs` says whether the container is empty. */
    readonly procsDir?: string;
  };
  readonly restart: ShimRestartPolicy;
  readonly restartCount?: number;
  /** Restarts and probes also while no daemon watches. */
  readonly liveRestore: boolean;
  readonly stopSignal: number;
  /** −1: never kill. */
  readonly stopTimeoutMs: number;
  readonly ports?: readonly ShimPortSpec[];
  /** Sockets that it only holds, for the process that asks for them by name. */
  readonly holds?: readonly { readonly fd: number; readonly name: string }[];
  /** Where the resolver works that a shim which holds its sockets is to start again when it is gone; absent where something else does. */
  readonly resolverFolder?: string | undefined;
  /** The pinned network namespace, and the links that belong in it. */
  readonly netns?: { readonly path: string; readonly keepLinks: readonly string[] };
  readonly health?: ShimHealthSpec;
}

export interface ExecShimSpec extends CommonShimSpec {
  readonly execId: string;
}

/** What reading one of the shim's files gives. A problem is for showing: such a file is never deleted or repaired. */
export type Read<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'missing' }
  | { readonly kind: 'problem'; readonly problem: 'torn' | 'newer' | 'damaged' | 'unreadable'; readonly message: string };

export type ShimHealth = 'none' | 'starting' | 'healthy' | 'unhealthy';

export interface ShimStatus {
  readonly state: 'created' | 'running' | 'restarting' | 'exited';
  readonly shimPid: number;
  readonly shimVersion: string;
  readonly contract: string;
  /** Init (or the exec'd process) in the host's namespace; 0 when there is none. It counts only with start time and boot id. */
  readonly pid: number;
  /** Field 22 of /proc/PID/stat. */
  readonly pidStart: bigint;
  readonly bootId: string;
  /** 1 for the first start, one more for each restart. */
  readonly run: number;
  readonly restartCount: number;
  readonly startedAt: bigint;
  readonly finishedAt: bigint;
  readonly exitCode: ExitCode;
  readonly exitSignal: number;
  readonly oom: boolean;
  readonly health: ShimHealth;
  readonly healthStreak: number;
  /** The last journal entry written. */
  readonly journalSeq: bigint;
  /** The size that the stdio FIFOs really have. */
  readonly pipeSize: number;
  readonly logDropped: bigint;
  /** While `restarting`. */
  readonly nextRestartAt: bigint;
  /** Why the last restart failed, or empty. */
  readonly error: string;
  /** A stop was ordered: no restart will follow. */
  readonly stopping: boolean;
}

export interface HealthProbe {
  readonly start: bigint;
  readonly end: bigint;
  readonly exitCode: number;
  readonly output: string;
}

export interface ExitRecord {
  readonly run: number;
  readonly exitCode: ExitCode;
  readonly exitSignal: number;
  readonly oom: boolean;
  readonly startedAt: bigint;
  readonly finishedAt: bigint;
  readonly restartCount: number;
  /** No restart follows. */
  readonly final: boolean;
}

export type JournalFact =
  | { readonly kind: 'start'; readonly run: number; readonly pid: number }
  | {
      readonly kind: 'die';
      readonly run: number;
      readonly exitCode: ExitCode;
      readonly exitSignal: number;
      readonly oom: boolean;
      readonly startedAt: bigint;
      /** When it really ended; the entry's own time is when it was written. 0n if the shim did not say. */
      readonly finishedAt: bigint;
      readonly restarting: boolean;
      readonly delayMs: number;
      /** The host went down: the container is to run again after the boot. */
      readonly hostDown: boolean;
    }
  | { readonly kind: 'oom'; readonly run: number }
  | { readonly kind: 'restart-failed'; readonly run: number; readonly error: string }
  | { readonly kind: 'health'; readonly status: ShimHealth }
  | { readonly kind: 'exec-create'; readonly exec: string; readonly command: string }
  | { readonly kind: 'exec-start'; readonly exec: string }
  | { readonly kind: 'exec-die'; readonly exec: string; readonly exitCode: ExitCode }
  | { readonly kind: 'log-dropped'; readonly count: bigint }
  | { readonly kind: 'stop-requested' }
  /** A signal was sent to init. Not told by shims of contract 1.0. */
  | { readonly kind: 'kill'; readonly signal: number }
  /** The shim is about to leave; no restart follows. */
  | { readonly kind: 'end' }
  /** Written by a newer shim: kept, so that sequence numbers go on. */
  | { readonly kind: 'other'; readonly name: string };

export type JournalEntry = JournalFact & {
  /** From 1 at the container's creation, over all its shims and restarts. */
  readonly seq: bigint;
  readonly time: bigint;
};

export interface Journal {
  readonly entries: readonly JournalEntry[];
  /** Lines that could not be understood (a torn last line is not counted). */
  readonly damaged: number;
  /** The lowest sequence number still in the files is greater than `since + 1`. */
  readonly gap: boolean;
}

/** What is known about a shim and its process, by looking at /proc and asking the socket. */
export interface Liveness {
  readonly status: Read<ShimStatus>;
  /**
   * `answering`: its socket said hello. `foreign`: likewise, but it speaks another major of the contract. `silent`: a
   * process is there, but does not answer. `gone`: neither.
   */
  readonly shim: 'answering' | 'foreign' | 'silent' | 'gone';
  /** The contract that it said it speaks (`1.0`), or empty. */
  readonly contract: string;
  /** Init of the container (exec session: its process): pid, start time and boot id agree. */
  readonly init: 'alive' | 'gone' | 'unknown';
}

export interface AttachOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Gives up the attempt; ending an attachment that was made is `destroy()`. */
  readonly signal?: AbortSignal;
}

export interface WatchOptions {
  /** Entries with a greater sequence number are given, those already in the journal first. */
  readonly since: bigint;
  readonly onEntry: (entry: JournalEntry) => void;
}

/** `ended`: the shim said `end` and left. `lost`: it went without a word, or the connection broke. `closed`: by us. */
export type WatchEnd =
  | { readonly kind: 'ended' | 'closed' }
  | { readonly kind: 'lost'; readonly error: Error | undefined };

export interface ShimWatch {
  /** Resolves once, when nothing more will come. Never rejects. */
  readonly ended: Promise<WatchEnd>;
  close(): void;
}

export interface StopOrder {
  readonly signal: number;
  /** −1: never kill. */
  readonly timeoutMs: number;
}

export interface OrderTaken {
  /** The entry of the journal that tells it; undefined: this shim does not (contract 1.0, exec sessions). */
  readonly toldBy: bigint | undefined;
}

export interface PolicyChange {
  readonly restart?: ShimRestartPolicy;
  readonly liveRestore?: boolean;
  readonly stopSignal?: number;
  readonly stopTimeoutMs?: number;
  /** All links that belong in the container's network namespace from now on. */
  readonly keepLinks?: readonly string[];
}

/** A published port from now on: where it is bound, what it is used for, and its socket if the shim has none of it yet. */
export type PortOrder = { readonly proto: 'tcp' | 'udp' | 'sctp'; readonly host: string; readonly hostPort: number; readonly fd?: number } & (
  | { readonly use: 'reserve' }
  | { readonly use: 'relay-tcp' | 'relay-udp'; readonly address: string; readonly port: number }
);

/** One shim that lives or lived. Holds no descriptor between calls: making one is free, dropping one needs nothing. */
export interface ShimHandle {
  /** The shim's directory. */
  readonly dir: string;
  hello(): Promise<{ readonly contract: string; readonly version: string; readonly pid: number }>;
  /** Starts the container, or the exec'd process; gives its pid. The runtime's refusal is an error in Docker's words. */
  start(): Promise<number>;
  /** To init, or the exec'd process; `conflict` if it is not running. */
  signal(signal: number): Promise<OrderTaken>;
  /** No restart from now on; signal; SIGKILL after the timeout. Resolves when the order is taken, not when it is done. */
  stop(order: StopOrder): Promise<OrderTaken>;
  policy(change: PolicyChange): Promise<void>;
  resize(rows: number, cols: number): Promise<void>;
  closeStdin(): Promise<void>;
  logReopen(): Promise<void>;
  state(): Promise<ShimStatus>;
  /**
   * Read: Docker stream frames (raw bytes with a terminal), ended when all output ended. Written: stdin, raw. `end()`
   * half-closes; `destroy()` detaches.
   */
  attach(options: AttachOptions): Promise<Duplex>;
  /** Sockets that it is to hold from now on, each in place of one of the same name. False: a shim of contract 1.0 cannot. */
  hold(sockets: readonly { readonly fd: number; readonly name: string }[]): Promise<boolean>;
  /** A socket of one more published port, or another use of one that it holds. False: a shim of contract 1.0 cannot. */
  port(order: PortOrder): Promise<boolean>;
  /** This connection is what counts as a daemon being there. */
  watch(options: WatchOptions): Promise<ShimWatch>;
}

export interface Launched {
  readonly handle: ShimHandle;
  /** The created container's init; 0 for an exec session (its process comes with `start`) and for an adopted container. */
  readonly pid: number;
}

export interface LaunchOptions {
  readonly signal?: AbortSignal;
}

/** Files of a container's shim in the data root, absolute. */
export interface ShimPlaces {
  readonly log: string;
  readonly exit: string;
  readonly journal: string;
}

export interface ShimPort {
  /** Writes `spec`, starts the shim and waits until the container is created. `dir` holds the OCI bundle. After a failure nothing of the shim's stays. */
  launch(dir: string, spec: ContainerShimSpec, options?: LaunchOptions): Promise<Launched>;
  /** The same for an exec session; `dir` holds `process.json`. */
  launchExec(dir: string, spec: ExecShimSpec, options?: LaunchOptions): Promise<Launched>;
  /** A replacement for a container shim that died. With a spec, that one is written first; else the old one counts, without its ports. */
  adopt(dir: string, spec?: ContainerShimSpec, options?: LaunchOptions): Promise<Launched>;
  /** A handle, without asking anything. */
  handle(dir: string): ShimHandle;
  /** A handle to a shim that answered hello, with a contract this daemon speaks. */
  connect(dir: string): Promise<ShimHandle>;
  liveness(dir: string): Promise<Liveness>;
  /**
   * What the shim's status says, if that and the kernel leave no doubt that shim and container run; at once, and without
   * asking the shim. Undefined for everything else: then `liveness` is due.
   */
  glance(dir: string): ShimStatus | undefined;
  /**
   * Resolves when no shim holds the directory, or one of an exec session below it, any more. Those that do not leave by
   * themselves within `graceMs` are killed.
   */
  end(dir: string, graceMs: number): Promise<void>;
  /** Where a container's shim, and one that takes its place, was told that its files and the runtime's are; undefined if its orders cannot be read. */
  readPlaces(dir: string): Promise<(ShimPlaces & { readonly runtimeRoot: string }) | undefined>;
  /** Corrects them after the data root was moved. A shim that runs follows the folders by itself (contract 1.1). */
  writePlaces(dir: string, places: ShimPlaces): Promise<void>;
  readStatus(dir: string): Promise<Read<ShimStatus>>;
  /** The last probes, oldest first. */
  readHealth(dir: string): Promise<Read<readonly HealthProbe[]>>;
  readExit(path: string): Promise<Read<ExitRecord>>;
  /** Entries with a greater sequence number, oldest first, over the rotated and the present file. A missing journal is an empty one. */
  readJournal(path: string, since: bigint): Promise<Journal>;
}
