/**
 * The OCI runtime from the daemon's side: what is not the shim's (which creates, starts, executes and deletes).
 * Errors carry the runtime's own message in Docker's shape.
 */

/** Which container, in which runtime. */
export interface RuntimeTarget {
  readonly id: string;
  /** Path of the runtime, its `--root` and more global arguments. */
  readonly runtime: string;
  readonly runtimeRoot: string;
  readonly runtimeArgs?: readonly string[];
  readonly systemdCgroup?: boolean;
}

export interface RuntimeState {
  readonly status: 'creating' | 'created' | 'running' | 'pausing' | 'paused' | 'stopped';
  /** 0 when stopped. */
  readonly pid: number;
  readonly bundle: string;
}

/** `linux.resources` of the OCI runtime spec, as far as `docker update` changes it. Bytes, microseconds, shares. */
export interface RuntimeResources {
  readonly memory?: {
    readonly limit?: number;
    readonly reservation?: number;
    readonly swap?: number;
    readonly kernel?: number;
    readonly kernelTCP?: number;
  };
  readonly cpu?: {
    readonly shares?: number;
    readonly quota?: number;
    readonly period?: number;
    readonly realtimeRuntime?: number;
    readonly realtimePeriod?: number;
    readonly cpus?: string;
    readonly mems?: string;
  };
  readonly blockIO?: { readonly weight?: number };
  readonly pids?: { readonly limit?: number };
}

/** `docker top`: the column titles, and one row per process. */
export interface ProcessTable {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

export interface RuntimeCallOptions {
  readonly signal?: AbortSignal;
}

export interface RuntimePort {
  pause(target: RuntimeTarget, options?: RuntimeCallOptions): Promise<void>;
  resume(target: RuntimeTarget, options?: RuntimeCallOptions): Promise<void>;
  update(target: RuntimeTarget, resources: RuntimeResources, options?: RuntimeCallOptions): Promise<void>;
  /** Pids in the host's namespace. */
  pids(target: RuntimeTarget, options?: RuntimeCallOptions): Promise<readonly number[]>;
  /** The host's `ps` with these arguments (empty: `-ef`), narrowed to the container's processes. */
  top(target: RuntimeTarget, psArgs: string, options?: RuntimeCallOptions): Promise<ProcessTable>;
  /** `undefined`: the runtime does not know it. */
  state(target: RuntimeTarget, options?: RuntimeCallOptions): Promise<RuntimeState | undefined>;
  /** To init, or to every process of the container. */
  kill(target: RuntimeTarget, signal: number, options?: RuntimeCallOptions & { readonly all?: boolean }): Promise<void>;
  /**
   * Corrects where the runtime believes a container's root filesystem to be, after it was moved: runc goes there before
   * each exec. Nothing happens if it is right, or if the runtime notes no such thing.
   */
  rootMoved(target: Pick<RuntimeTarget, 'id' | 'runtimeRoot'>, change: (rootfs: string) => string): Promise<void>;
  /** `--force`: kills what is left. One that is not there is already deleted. */
  delete(target: RuntimeTarget, options?: RuntimeCallOptions): Promise<void>;
}
