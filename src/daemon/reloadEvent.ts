/** The `reload` event with Docker's attributes (dockerd-live-restore 1.4). */
import type { EngineEvent } from '../core/events.ts';
import type { Config } from '../core/options/table.ts';

export function reloadEvent(what: { id: string; name: string; config: Config; timeNs: bigint }): EngineEvent {
  const { config } = what;
  const runtimes = [['runc', 'runc'], ...Object.entries(config.runtimes).map(([name, { path }]) => [name, path])];
  return {
    type: 'daemon',
    action: 'reload',
    actorId: what.id,
    timeNs: what.timeNs,
    attributes: {
      name: what.name,
      debug: String(config.debug),
      'default-cgroupns-mode': config.defaultCgroupnsMode,
      'default-ipc-mode': config.defaultIpcMode,
      'default-runtime': config.defaultRuntime,
      'default-shm-size': String(config.defaultShmSize),
      'default-stop-timeout': String(config.defaultStopTimeout),
      features: 'map[]',
      'insecure-registries': JSON.stringify(config.insecureRegistries),
      labels: JSON.stringify(config.labels),
      'live-restore': String(config.liveRestore),
      'max-concurrent-downloads': String(config.maxConcurrentDownloads),
      'max-concurrent-uploads': String(config.maxConcurrentUploads),
      'max-download-attempts': String(config.maxDownloadAttempts),
      'registry-mirrors': JSON.stringify(config.registryMirrors),
      runtimes: runtimes.map(([name, path]) => `${name}:${path}`).join(' '),
      'shutdown-timeout': String(config.shutdownTimeout),
    },
  };
}
