import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { forgetUdpFlows } from './conntrack.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from './netlink.ts';
import { RouteSocket } from './netlinkRoute.ts';
import { createNetns, enterNetns, removeNetns } from './netns.ts';
import { nftApply } from './nft.ts';
import { run } from './spawn.ts';

test('exactly the UDP flows to the named ports are forgotten', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'moored-conntrack-'));
  const pin = join(root, 'ns');
  createNetns(pin, () => {});
  t.after(() => {
    removeNetns(pin);
    rmSync(root, { recursive: true });
  });
  enterNetns(pin);
  {
    using links = new RouteSocket();
    links.setLink('lo', { up: true });
  }
  // Tracking begins with the first rule that asks for it; each counter counts flows that are new.
  await nftApply(`add table inet t
    add counter inet t p1001
    add counter inet t p1002
    add chain inet t c { type filter hook output priority 0; }
    add rule inet t c ct state new udp dport 1001 counter name p1001
    add rule inet t c ct state new udp dport 1002 counter name p1002`);
  const client = createSocket('udp4');
  t.after(() => client.close());
  client.bind(0, '127.0.0.1');
  await once(client, 'listening');
  // A flow is new until it is answered.
  for (const port of [1001, 1002]) {
    const server = createSocket('udp4', (message, from) => server.send(message, from.port, from.address));
    t.after(() => server.close());
    server.bind(port, '127.0.0.1');
    await once(server, 'listening');
  }
  const sendBoth = async (): Promise<void> => {
    for (const port of [1001, 1002]) {
      client.send('x', port, '127.0.0.1');
      await once(client, 'message');
    }
  };
  const counts = async (): Promise<string[]> => [...(await run(['nft', 'list', 'counters', 'table', 'inet', 't'])).stdout.matchAll(/packets (\d+)/g)].map(([, n]) => String(n));
  await sendBoth();
  await sendBoth();
  assert.deepEqual(await counts(), ['1', '1']);
  using socket = new NetlinkSocket(NETLINK_NETFILTER);
  forgetUdpFlows(socket, [{ address: '127.0.0.2', port: 1001 }, { address: '::', port: 1001 }]);
  await sendBoth();
  assert.deepEqual(await counts(), ['1', '1']);
  forgetUdpFlows(socket, [{ address: '127.0.0.1', port: 1001 }]);
  await sendBoth();
  assert.deepEqual(await counts(), ['2', '1']);
  forgetUdpFlows(socket, [{ address: '0.0.0.0', port: 1001 }, { address: '0.0.0.0', port: 1002 }]);
  await sendBoth();
  assert.deepEqual(await counts(), ['3', '2']);
});
