/** A container's mounts, made ready for the runtime: volumes mounted, missing bind sources created where Docker creates them. */
import { internal } from '../base/errors.ts';
import { readyMounts as toReady } from '../core/container/mounts.ts';
import type { ReadyMount } from '../core/oci/mounts.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';

export async function readyMounts(ctx: EngineContext, container: Container): Promise<ReadyMount[]> {
  const { mounts, hostConfig } = container.record;
  const paths = new Map<string, string>();
  for (const mount of mounts) {
    if (mount.type === 'bind' && mount.createSource) await ctx.host.makeBindSource(mount.source);
    if (mount.type !== 'volume') continue;
    const root = await ctx.volumes.mount(mount.name, container.id);
    paths.set(mount.destination, mount.subpath === '' ? root : await ctx.host.pathInRoot(root, mount.subpath));
  }
  return toReady(mounts, hostConfig.tmpfs, (mount) => {
    const path = paths.get(mount.destination);
    if (path === undefined) throw internal(`the ${mount.type} mounted at ${mount.destination} has no path`);
    return path;
  });
}
