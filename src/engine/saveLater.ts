/** Records that must not keep a container running because a disk is full, read-only or hung. */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';

/** A disk may be slow; one that takes longer is not waited for. */
const PATIENCE_MS = 10_000;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 10_000;

/**
 * Saves a container's record. If that fails or hangs it is said in the log and tried again until it succeeds, or until
 * the record has become another one, which its own writer saves.
 */
export async function saveNowOrLater(ctx: EngineContext, container: Container): Promise<void> {
  const { record } = container;
  const saved = ctx.store.save(record);
  try {
    const outcome = await Promise.race([saved.then(() => 'saved' as const), sleep(PATIENCE_MS, 'slow' as const, { ref: false })]);
    if (outcome === 'slow') ctx.logger.error('a record is not written yet: the disk hangs', { container: container.id });
    saved.catch(() => void retry(ctx, container, record));
  } catch (error) {
    ctx.logger.error('a record cannot be written; it is tried again', { container: container.id, error: messageOf(error) });
    void retry(ctx, container, record);
  }
}

async function retry(ctx: EngineContext, container: Container, record: Container['record']): Promise<void> {
  for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LAST_RETRY_MS)) {
    await sleep(pause, undefined, { ref: false });
    if (container.record !== record || ctx.containers.get(container.id) !== container) return;
    try {
      await ctx.store.save(record);
      ctx.logger.info('a record could be written at last', { container: container.id });
      return;
    } catch (error) {
      ctx.logger.debug('a record still cannot be written', { container: container.id, error: messageOf(error) });
    }
  }
}
