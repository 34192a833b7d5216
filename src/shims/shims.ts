/** The shim port: everything the engine may ask for, put together. */
import type { ContainerShimSpec, ExecShimSpec, Launched, LaunchOptions, ShimPort } from '../core/ports/shim.ts';
import { endShims } from './ending.ts';
import { readExit, readHealth, readJournal, readStatus } from './files.ts';
import { SocketShimHandle } from './handle.ts';
import { inheritedSpec, launchShim } from './launcher.ts';
import { glance, liveness } from './liveness.ts';
import { encodeContainerSpec, encodeExecSpec, readPlaces, writePlaces } from './spec.ts';

export interface ShimsConfig {
  /** Path of `moored-shim`. */
  readonly shim: string;
}

export function createShims({ shim }: ShimsConfig): ShimPort {
  const launched = (dir: string, pid: number): Launched => ({ handle: new SocketShimHandle(dir), pid });
  return {
    async launch(dir: string, spec: ContainerShimSpec, options: LaunchOptions = {}): Promise<Launched> {
      const portFds = portFdsOf(spec);
      const deleteCommand = [
        spec.runtime,
        '--root',
        spec.runtimeRoot,
        ...(spec.runtimeArgs ?? []),
        ...(spec.systemdCgroup === true ? ['--systemd-cgroup'] : []),
        'delete',
        '--force',
        spec.id,
      ];
      const text = encodeContainerSpec(spec);
      return launched(dir, await launchShim({ shim, mode: 'run', dir, spec: text, portFds, deleteCommand, signal: options.signal }));
    },
    async launchExec(dir: string, spec: ExecShimSpec, options: LaunchOptions = {}): Promise<Launched> {
      const text = encodeExecSpec(spec);
      return launched(dir, await launchShim({ shim, mode: 'exec', dir, spec: text, portFds: [], signal: options.signal }));
    },
    async adopt(dir: string, spec?: ContainerShimSpec, options: LaunchOptions = {}): Promise<Launched> {
      const text = spec === undefined ? await inheritedSpec(dir) : encodeContainerSpec(spec);
      const portFds = spec === undefined ? [] : portFdsOf(spec);
      return launched(dir, await launchShim({ shim, mode: 'adopt', dir, spec: text, portFds, signal: options.signal }));
    },
    handle: (dir) => new SocketShimHandle(dir),
    async connect(dir) {
      const handle = new SocketShimHandle(dir);
      await handle.requireSpoken();
      return handle;
    },
    liveness: (dir) => liveness(new SocketShimHandle(dir)),
    glance,
    end: endShims,
    readPlaces,
    writePlaces,
    readStatus,
    readHealth,
    readExit,
    readJournal,
  };
}

const portFdsOf = (spec: ContainerShimSpec): number[] => [...(spec.ports ?? []), ...(spec.holds ?? [])].map(({ fd }) => fd);
