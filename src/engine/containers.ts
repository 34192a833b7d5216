/** The table of containers: by id, by name, by unique prefix, in Docker's order and words (engine-api A8). */
import { conflict, invalid, notFound } from '../base/errors.ts';
import type { Container } from './container.ts';

export class Containers {
  /** Called when a container's shim broke its connection; set once, by the restore. */
  shimLost: (container: Container) => Promise<void> = () => Promise.resolve();
  readonly #byId = new Map<string, Container>();
  /** name → id; a name is taken before its container is there, so that two creates cannot have the same. */
  readonly #names = new Map<string, string>();

  all(): Container[] {
    return [...this.#byId.values()];
  }

  get(id: string): Container | undefined {
    return this.#byId.get(id);
  }

  add(container: Container): void {
    this.#byId.set(container.id, container);
    this.#names.set(container.record.name, container.id);
  }

  delete(container: Container): void {
    this.#byId.delete(container.id);
    if (this.#names.get(container.record.name) === container.id) this.#names.delete(container.record.name);
  }

  nameTaken(name: string): boolean {
    return this.#names.has(name);
  }

  /** Takes a name for an id, or says who has it. */
  reserveName(name: string, id: string): void {
    const owner = this.#names.get(name);
    if (owner === id) return;
    if (owner !== undefined) {
      throw conflict(`Conflict. The container name "/${name}" is already in use by container "${owner}". You have to remove (or rename) that container to be able to reuse that name.`);
    }
    this.#names.set(name, id);
  }

  releaseName(name: string, id: string): void {
    if (this.#names.get(name) === id) this.#names.delete(name);
  }

  /** The same for what does more than look at it: one that the daemon's start has only listed so far is waited for. */
  async restored(nameOrId: string): Promise<Container> {
    const container = this.resolve(nameOrId);
    await container.whenRestored();
    return container;
  }

  /** Full id, then exact name (a leading slash is optional), then a unique prefix of an id. */
  resolve(nameOrId: string): Container {
    if (nameOrId === '') throw invalid('invalid name or ID supplied: ""');
    const exact = this.#byId.get(nameOrId);
    if (exact !== undefined) return exact;
    const named = this.#names.get(nameOrId.replace(/^\//, ''));
    const byName = named === undefined ? undefined : this.#byId.get(named);
    if (byName !== undefined) return byName;
    const matches = /^[0-9a-f]+$/.test(nameOrId) ? this.all().filter((container) => container.id.startsWith(nameOrId)) : [];
    if (matches.length > 1) throw invalid(`multiple IDs found with provided prefix: ${nameOrId}`);
    const [match] = matches;
    if (match === undefined) throw notFound(`No such container: ${nameOrId}`);
    return match;
  }
}
