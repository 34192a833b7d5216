/** Whether the default network is as the options want it. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../base/errors.ts';
import { bridgeAddresses } from '../core/network/bridge.ts';
import { DEFAULT_ADDRESS_POOLS } from '../core/network/config.ts';
import type { NetConfig } from '../core/network/config.ts';
import { defaultBridge, defaultBridgeName, differences } from '../core/network/predefined.ts';
import type { NetworkRecord } from '../core/ports/network.ts';
import { peekRecord } from '../store/peek.ts';
import type { HostFacts } from './facts.ts';

export async function networkChanges(dataRoot: string, config: NetConfig): Promise<HostFacts['networkChanges']> {
  const recorded = await defaultNetwork(path.join(dataRoot, 'networks'));
  if (recorded === undefined) return { names: [], error: '' };
  if (config.bridge === 'none') return { names: ['bridge'], error: '' };
  try {
    return { names: differences(recorded, wanted(recorded, config)), error: '' };
  } catch (error) {
    return { names: [], error: messageOf(error) };
  }
}

/** What a start would make of the options, with the addresses that are there. */
function wanted(recorded: NetworkRecord, config: NetConfig): NetworkRecord {
  const kept = recorded.bridge === defaultBridgeName(config) ? bridgeAddresses(recorded) : [];
  return defaultBridge({
    config,
    pools: [...config.defaultAddressPools, ...DEFAULT_ADDRESS_POOLS, { base: 'fd00::/8', size: 64 }],
    taken: [],
    routed: () => [],
    present: kept.map(({ address, prefixLength }) => `${address}/${prefixLength}`),
    newId: () => recorded.id,
    nowNs: recorded.createdNs,
  });
}

async function defaultNetwork(folder: string): Promise<NetworkRecord | undefined> {
  const names = await readdir(folder).catch((): string[] => []);
  for (const name of names.filter((each) => each.endsWith('.json') && !each.startsWith('.'))) {
    const read = await peekRecord<NetworkRecord>(path.join(folder, name), { schema: 1, parse: parseNetwork });
    if (read.kind === 'ok' && read.value.name === 'bridge') return read.value;
  }
  return undefined;
}

/** As much as is looked at here. */
function parseNetwork(value: Record<string, unknown>): NetworkRecord {
  const { ipam } = value;
  if (typeof value['name'] !== 'string' || typeof value['bridge'] !== 'string' || typeof value['options'] !== 'object') throw new Error('it is not a network');
  if (typeof ipam !== 'object' || ipam === null || !('config' in ipam) || !Array.isArray(ipam.config)) throw new Error('it has no addresses');
  return value as unknown as NetworkRecord;
}
