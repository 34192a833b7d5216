/** A container's probes as inspect shows them: its shim's file while it runs, what that said last when it has ended. */
import type { LastHealth } from '../core/container/view.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';

const NO_PROBES: LastHealth = { probes: [], streak: 0 };

export async function healthDetails(ctx: EngineContext, container: Container): Promise<LastHealth> {
  if (container.record.config.healthcheck === undefined) return NO_PROBES;
  return container.handle === null ? (container.view.lastHealth ?? NO_PROBES) : read(ctx, container);
}

/** Takes over what the shim's files say of the run that has ended, before they go. */
export async function keepHealth(ctx: EngineContext, container: Container): Promise<void> {
  if (container.record.config.healthcheck === undefined) return;
  container.view = { ...container.view, lastHealth: await read(ctx, container) };
}

async function read(ctx: EngineContext, container: Container): Promise<LastHealth> {
  const { execDir } = ctx.store.paths(container.id);
  const [health, status] = await Promise.all([ctx.shims.readHealth(execDir), ctx.shims.readStatus(execDir)]);
  return { probes: health.kind === 'ok' ? health.value : [], streak: status.kind === 'ok' ? status.value.healthStreak : 0 };
}
