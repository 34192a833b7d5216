/** What the default runtime says of itself, for `docker version`: asked when somebody wants to know. */
import type { EngineSettings } from '../core/settings.ts';
import { run } from '../sys/spawn.ts';

export async function runtimeVersion(settings: EngineSettings): Promise<{ name: string; version: string; commit: string }> {
  const name = settings.defaultRuntime;
  const path = settings.runtimes[name]?.path;
  if (path === undefined) return { name, version: '', commit: '' };
  try {
    const { stdout } = await run([path, '--version'], { timeoutMs: 5000 });
    const text = stdout.toString();
    return { name, version: /version (\S+)/.exec(text)?.[1] ?? '', commit: /commit: (\S+)/.exec(text)?.[1] ?? '' };
  } catch {
    // A runtime that is missing shows when a container is started, with its name.
    return { name, version: '', commit: '' };
  }
}
