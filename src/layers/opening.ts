/** A storage driver that is opened when it is first needed: whoever needs it waits. */
import type { LayerPort } from '../core/ports/layers.ts';

/** The driver as it will be. If it cannot be opened, everything that is asked of it fails with that error. */
export function openedOnDemand(driver: string, open: () => Promise<LayerPort>): LayerPort {
  let opening: Promise<LayerPort> | undefined;
  const opened = (): Promise<LayerPort> => (opening ??= open());
  return {
    driver,
    has: async (chainId) => (await opened()).has(chainId),
    apply: async (tar, options) => (await opened()).apply(tar, options),
    size: async (chainId) => (await opened()).size(chainId),
    remove: async (chainId) => (await opened()).remove(chainId),
    tar: async (chainId) => (await opened()).tar(chainId),
    list: async () => (await opened()).list(),
    createRw: async (id, parent, options) => (await opened()).createRw(id, parent, options),
    mountRw: async (id) => (await opened()).mountRw(id),
    unmountRw: async (id) => (await opened()).unmountRw(id),
    removeRw: async (id) => (await opened()).removeRw(id),
    listRw: async () => (await opened()).listRw(),
    sizeRw: async (id) => (await opened()).sizeRw(id),
    changes: async (id) => (await opened()).changes(id),
    diffTar: async (id) => (await opened()).diffTar(id),
    status: async () => (await opened()).status(),
  };
}
