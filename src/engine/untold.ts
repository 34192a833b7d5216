/**
 * What earlier daemons did and may have died before telling: each intent is judged by what is recorded and seen now
 * (continuity B3). Two parts: what containers stand on is judged before they are restored, they themselves after it.
 */
import { isKind, messageOf } from '../base/errors.ts';
import type { EngineEvent } from '../core/events.ts';
import type { Intent, Proof } from '../core/ports/telling.ts';
import { cgroupPathOf } from './bundle.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { mendSettings, settingsDigest } from './update.ts';

const ofContainers = ({ proof }: Intent): boolean => proof.of.startsWith('container') || proof.of === 'endpoint';

/** Images, networks, volumes. */
export const tellUntoldResources = (ctx: EngineContext): Promise<void> => tell(ctx, ctx.events.intents.filter((intent) => !ofContainers(intent)));

/** Containers, when those that run are known. A stop that is still under way is told in the background, at its end. */
export const tellUntoldContainers = (ctx: EngineContext): Promise<void> => tell(ctx, ctx.events.intents.filter(ofContainers));

async function tell(ctx: EngineContext, intents: readonly Intent[]): Promise<void> {
  for (const intent of intents) {
    const ending = stillEnding(ctx, intent.proof);
    if (ending === undefined) await makeGood(ctx, intent);
    else void ending.then(() => makeGood(ctx, intent));
  }
}

async function makeGood(ctx: EngineContext, intent: Intent): Promise<void> {
  try {
    await ctx.events.makeGood(intent, await judge(ctx, intent));
  } catch (error) {
    ctx.logger.error('it is not known whether something was done that was not told', { action: intent.event.action, object: intent.event.actorId, error: messageOf(error) });
  }
}

/** A container that was told to stop and has not ended yet. */
function stillEnding(ctx: EngineContext, proof: Proof): Promise<void> | undefined {
  if (proof.of !== 'container' || proof.is !== 'ended') return undefined;
  const container = ctx.containers.get(proof.id);
  return container?.occupied === true && container.stopping ? container.whenSettled() : undefined;
}

/** The event, if its act was done. */
async function judge(ctx: EngineContext, { event, proof }: Intent): Promise<EngineEvent | undefined> {
  switch (proof.of) {
    case 'container':
    case 'container name':
    case 'container settings':
    case 'endpoint':
      return judgeContainer(ctx, event, proof);
    case 'network': {
      const found = ctx.network.list().find(({ id, name }) => proof.nameOrId === (proof.there ? name : id));
      if ((found !== undefined) !== proof.there) return undefined;
      return found === undefined ? event : { ...event, actorId: found.id };
    }
    case 'volume':
      return ctx.volumes.list().some(({ name }) => name === proof.name) === proof.there ? event : undefined;
    case 'image':
      return ((await ctx.images.get(proof.id)) !== undefined) === proof.there ? event : undefined;
    case 'image name':
      return (await imageNamed(ctx, proof.reference)) === proof.image ? event : undefined;
  }
}

async function imageNamed(ctx: EngineContext, reference: string): Promise<string> {
  try {
    return (await ctx.images.resolve(reference)).id;
  } catch (error) {
    if (isKind(error, 'not-found')) return '';
    throw error;
  }
}

type ContainerProof = Extract<Proof, { id: string; of: 'container' | 'container name' | 'container settings' | 'endpoint' }>;

async function judgeContainer(ctx: EngineContext, event: EngineEvent, proof: ContainerProof): Promise<EngineEvent | undefined> {
  const container = ctx.containers.get(proof.id);
  if (proof.of === 'container' && proof.is === 'gone') return container === undefined ? event : undefined;
  if (container === undefined) return undefined;
  switch (proof.of) {
    case 'container':
      return judgeState(ctx, event, { container, is: proof.is });
    case 'container name':
      return container.record.name === proof.name ? event : undefined;
    case 'container settings':
      await mendSettings(ctx, container);
      return settingsDigest(container.record.hostConfig) === proof.digest ? event : undefined;
    case 'endpoint':
      return (container.sandbox?.endpoints.some(({ networkId }) => networkId === proof.networkId) ?? false) === proof.there ? event : undefined;
  }
}

async function judgeState(ctx: EngineContext, event: EngineEvent, { container, is }: { container: Container; is: string }): Promise<EngineEvent | undefined> {
  const { startedNs, finishedNs } = container.view.facts;
  switch (is) {
    case 'there':
      return container.record.desired === 'creating' ? undefined : event;
    case 'frozen':
    case 'thawed':
      return container.occupied && (await ctx.cgroups.frozen(cgroupPathOf(ctx, container))) === (is === 'frozen') ? event : undefined;
    case 'ended':
      return container.occupied || finishedNs < event.timeNs ? undefined : { ...event, timeNs: finishedNs };
    case 'restarted':
      return startedNs > event.timeNs ? { ...event, timeNs: startedNs } : undefined;
    default:
      return undefined;
  }
}
