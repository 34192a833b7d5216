/** The verb `upgrade` (docs/shim-contract.md section 11): a shim goes on as another binary, under its running container. */
import { conflict, internal } from '../base/errors.ts';
import { request } from './client.ts';
import { isSpoken, MAJOR } from './codec.ts';
import { SocketShimHandle } from './handle.ts';
import { shimName } from './naming.ts';

/** The shim waits for a moment without a start or an end, and for its log, up to a minute. */
const UPGRADE_TIMEOUT_MS = 75_000;
/** The first minor whose shims have the verb. */
const SINCE_MINOR = 1;

export interface ShimVersion {
  readonly version: string;
  readonly contract: string;
}

/** Both versions. A refusal, by the shim or by the new binary, leaves the old one at work and says why. */
export async function upgradeShim(dir: string, binary: string): Promise<{ from: ShimVersion; to: ShimVersion }> {
  const handle = new SocketShimHandle(dir);
  const from = await handle.hello();
  if (!isSpoken(from.contract)) throw conflict(`${shimName(dir)} (version ${from.version}) speaks contract ${from.contract}, this release ${MAJOR}`);
  if (Number(from.contract.split('.')[1]) < SINCE_MINOR) {
    throw conflict(`${shimName(dir)} (version ${from.version}, contract ${from.contract}) cannot replace itself: it stays until its container stops`);
  }
  await request(dir, 'upgrade', { path: binary }, { timeoutMs: UPGRADE_TIMEOUT_MS });
  const to = await handle.hello();
  if (to.pid !== from.pid) throw internal(`${shimName(dir)} is another process than before`);
  return { from, to };
}
