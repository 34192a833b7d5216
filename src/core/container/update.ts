/** `docker update`: what is asked over what is, validated. Pure. */
import { conflict } from '../../base/errors.ts';
import type { HostConfig, Resources, RestartPolicy } from './config.ts';
import type { SysInfo } from './sysInfo.ts';
import { validateRestartPolicy } from './validate.ts';
import { checkResources } from './validateResources.ts';

/** Fields that are absent stay as they are; so do zero values, which is how the API says "not given". */
export interface UpdateRequest {
  readonly resources: Resources;
  readonly restartPolicy?: RestartPolicy;
}

export interface UpdatePlan {
  readonly host: HostConfig;
  /** What was asked and this kernel can enforce; zero values for all else. */
  readonly changes: Resources;
  readonly warnings: string[];
}

/** invalid for limits that make no sense, conflict for those that contradict what the container has. */
export function planUpdate(current: HostConfig, request: UpdateRequest, sys: SysInfo): UpdatePlan {
  const warnings: string[] = [];
  const asked = checkResources(request.resources, sys, { warnings, update: true });
  refuseContradictions(current, asked);
  const host: HostConfig = { ...current, ...given(asked) };
  if (asked.nanoCpus > 0n) Object.assign(host, { cpuPeriod: 0n, cpuQuota: 0n });
  if (asked.memory !== 0n && asked.memorySwap === 0n && current.memorySwap > 0n && asked.memory > current.memorySwap) {
    throw conflict('Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time');
  }
  if (request.restartPolicy !== undefined) {
    validateRestartPolicy(request.restartPolicy);
    if (current.autoRemove && request.restartPolicy.name !== 'no') {
      throw conflict('Restart policy cannot be updated because AutoRemove is enabled for the container');
    }
    host.restartPolicy = request.restartPolicy;
  }
  return { host, changes: asked, warnings };
}

function refuseContradictions(current: HostConfig, asked: Resources): void {
  if (asked.nanoCpus > 0n && (current.cpuPeriod > 0n || current.cpuQuota > 0n)) {
    const what = current.cpuPeriod > 0n ? 'CPU Period' : 'CPU Quota';
    throw conflict(`Conflicting options: Nano CPUs cannot be updated as ${what} has already been set`);
  }
  if (current.nanoCpus > 0n && asked.cpuPeriod > 0n) {
    throw conflict('Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set');
  }
  if (current.nanoCpus > 0n && asked.cpuQuota > 0n) {
    throw conflict('Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set');
  }
}

/** Those fields that can change while a container runs, and were given. */
function given(asked: Resources): Partial<Resources> {
  return {
    ...(asked.blkioWeight !== 0 && { blkioWeight: asked.blkioWeight }),
    ...(asked.cpuShares !== 0 && { cpuShares: asked.cpuShares }),
    ...(asked.nanoCpus !== 0n && { nanoCpus: asked.nanoCpus }),
    ...(asked.cpuPeriod !== 0n && { cpuPeriod: asked.cpuPeriod }),
    ...(asked.cpuQuota !== 0n && { cpuQuota: asked.cpuQuota }),
    ...(asked.cpusetCpus !== '' && { cpusetCpus: asked.cpusetCpus }),
    ...(asked.cpusetMems !== '' && { cpusetMems: asked.cpusetMems }),
    ...(asked.memory !== 0n && { memory: asked.memory }),
    ...(asked.memorySwap !== 0n && { memorySwap: asked.memorySwap }),
    ...(asked.memoryReservation !== 0n && { memoryReservation: asked.memoryReservation }),
    ...(asked.cpuRealtimePeriod !== 0n && { cpuRealtimePeriod: asked.cpuRealtimePeriod }),
    ...(asked.cpuRealtimeRuntime !== 0n && { cpuRealtimeRuntime: asked.cpuRealtimeRuntime }),
    ...(asked.pidsLimit !== null && { pidsLimit: asked.pidsLimit }),
  };
}
