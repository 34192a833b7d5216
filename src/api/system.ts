/** `GET /info`, `GET /version`, `GET /system/df`. */
import { diskUsage, engineInfo } from '../engine/info.ts';
import type { EngineContext } from '../engine/context.ts';
import { diskUsageView } from '../wire/diskUsage.ts';
import { infoView, versionView } from '../wire/system.ts';
import type { RuntimeFacts, VersionFacts } from '../wire/system.ts';
import type { Route } from './router.ts';

export interface SystemDeps {
  ctx: EngineContext;
  engineId: string;
  versionFacts: VersionFacts;
  /** What the default runtime says of itself. */
  runtime: () => Promise<RuntimeFacts>;
  /** Clients of `GET /events`. */
  listeners: () => number;
  /** Open file descriptors of the daemon. */
  descriptors: () => number;
}

export const systemRoutes = (deps: SystemDeps): Route[] => [
  { method: 'GET', pattern: '/version', early: true, handler: async (_request, response) => response.value(versionView(deps.versionFacts, await deps.runtime())) },
  {
    method: 'GET', pattern: '/info', early: true,
    handler: async (_request, response) => {
      const [info, runtime] = await Promise.all([engineInfo(deps.ctx), deps.runtime()]);
      response.value(infoView({
        ...info,
        id: deps.engineId,
        version: deps.versionFacts.version,
        runtime,
        listeners: deps.listeners(),
        descriptors: deps.descriptors(),
        securityOptions: [
          ...(deps.ctx.host.facts().seccomp ? [`name=seccomp,profile=${info.settings.seccompProfile}`] : []),
          ...(info.sys.cgroupVersion === 2 ? ['name=cgroupns'] : []),
        ],
      }));
    },
  },
  {
    method: 'GET', pattern: '/system/df',
    handler: async (request, response) => {
      response.value(diskUsageView(await diskUsage(deps.ctx), { types: request.query.all('type'), nowNs: deps.ctx.clock.nowNs() }));
    },
  },
];
