import type { ContainerRecord, ExecRecord } from '../container/record.ts';
import type { ContainerView } from '../container/view.ts';
import type { Sandbox } from './network.ts';

/** Everything that lies on disk for one container. All absolute. */
export interface ContainerPaths {
  dataDir: string;
  log: string;
  /** How far the log was forwarded to its target. */
  forward: string;
  /** The shim's exit record and event journal. */
  exit: string;
  journal: string;
  hosts: string;
  hostname: string;
  resolvConf: string;
  /** DIR of the shim contract: the bundle, `shim.sock`, `status`. */
  execDir: string;
  /** The pinned network namespace. */
  netns: string;
  execs: string;
}

/**
 * A container as found at start. `present`: it has a folder in the exec root; its sandbox is read only then. `problem`: it
 * stays listed with the reason.
 */
export type LoadedContainer =
  | { kind: 'ok'; id: string; record: ContainerRecord; view: ContainerView; sandbox: Sandbox | null; present: boolean }
  | { kind: 'problem'; id: string; reason: string; present: boolean };

/** All that the roots hold. */
export interface LoadedContainers {
  containers: LoadedContainer[];
  /** Folders in the exec root that no record claims. */
  strays: string[];
}

/** The records of containers in both roots. */
export interface ContainerStorePort {
  paths(id: string): ContainerPaths;
  execDir(id: string, execId: string): string;
  loadAll(): Promise<LoadedContainers>;
  /** Makes the container's folder if need be. Durable before it resolves unless told otherwise. */
  save(record: ContainerRecord, options?: { durable?: boolean }): Promise<void>;
  /** Removes its log files, of a container that does not run. */
  removeLogs(id: string): Promise<void>;
  /**
   * Removes the container's folders in both roots; idempotent. Durable before it resolves unless told otherwise: a record
   * that says that it is to be removed may come back with a power loss, and is removed again.
   */
  remove(id: string, options?: { durable?: boolean }): Promise<void>;

  /** An empty exec folder (what an earlier run left there is gone). */
  freshExecDir(id: string): Promise<void>;
  removeExecDir(id: string): Promise<void>;
  /** Ids with a folder in the exec root. */
  listExecDirs(): Promise<string[]>;
  /** Files of the bundle (`config.json`, `health.json`), 0600. */
  writeBundle(id: string, files: Record<string, string>): Promise<void>;
  readBundle(id: string, name: string): Promise<string>;
  /** Files that are mounted into the container (`hosts`, `hostname`, `resolv.conf`), 0644 as Docker has them. */
  writeEtc(id: string, files: { hosts?: string; hostname?: string; resolvConf?: string }): Promise<void>;

  /** Makes an earlier path of the data root lead to the present one, where nothing else is by now. */
  leadHere(earlier: string): Promise<void>;

  saveSandbox(id: string, sandbox: Sandbox): Promise<void>;
  loadSandbox(id: string): Promise<Sandbox | null>;

  /** Notes what the journal told up to the last entry whose events were published. */
  saveView(id: string, view: ContainerView): Promise<void>;

  /** Makes the session's folder with its record and `process.json`. */
  createExec(record: ExecRecord, processJson: string): Promise<void>;
  /** `ended`: its end was published already. */
  listExecs(id: string): Promise<{ record: ExecRecord; ended: boolean }[]>;
  /** Notes that the session's end was published. */
  endExec(id: string, execId: string): Promise<void>;
  removeExec(id: string, execId: string): Promise<void>;
}
