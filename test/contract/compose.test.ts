/** docker compose, one project in the order in which people live with it: up, look, change, lose the daemon, down. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Compose } from '../fixtures/compose.ts';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { mooredOnly } from '../fixtures/target.ts';

const FILE = `
name: shop
services:
  db:
    image: busybox
    command: sh -c 'echo up > /data/up; i=0; while :; do i=$$((i+1)); echo "line $$i"; sleep 0.05; done'
    volumes: [dbdata:/data]
    healthcheck: { test: [CMD, test, -f, /data/up], interval: 200ms, timeout: 5s, retries: 20 }
    networks: { back: { aliases: [database], ipv4_address: 172.30.5.10 } }
    restart: unless-stopped
    stop_grace_period: 0s
  migrate:
    image: busybox
    command: sh -c 'nslookup -type=a database && echo migrated'
    depends_on: { db: { condition: service_healthy } }
    networks: [back]
  web:
    image: busybox
    command: sh -c 'hostname > /tmp/index.html; exec httpd -f -p 80 -h /tmp'
    depends_on: { migrate: { condition: service_completed_successfully } }
    ports: ["18080-18081:80"]
    networks: [back, front]
    configs: [{ source: greeting, target: /etc/greeting }]
    secrets: [key]
    environment: { MODE: one }
    deploy: { resources: { limits: { memory: 64M } } }
    stop_grace_period: 0s
  tool:
    image: busybox
    profiles: [tools]
    command: sleep 600
    network_mode: "service:db"
    init: true
    tmpfs: [/scratch]
    stop_grace_period: 0s
networks:
  back: { ipam: { config: [{ subnet: 172.30.5.0/24 }] } }
  front: {}
volumes: { dbdata: { labels: { kept: "yes" } } }
configs: { greeting: { file: greeting } }
secrets: { key: { file: key } }
`;

let compose: Compose;
const daemon = useDaemon({ config: { 'live-restore': true } });

before(() => {
  compose = new Compose(daemon, FILE);
  compose.write('greeting', 'hello\n');
  compose.write('key', 's3cret\n');
});
after(() => compose.run(['--profile', 'tools', 'down', '-v', '-t', '0']));

/** Names and states of the project's containers. */
const states = async (): Promise<string[]> => lines(await compose.ok('ps', '-a', '--format', '{{.Name}} {{.State}}')).toSorted();

test('up: in the order of health and completion, scaled, on its networks', async () => {
  await compose.ok('up', '-d', '--scale', 'web=2');
  assert.deepEqual(await states(), ['shop-db-1 running', 'shop-migrate-1 exited', 'shop-web-1 running', 'shop-web-2 running']);
  assert.match(await compose.ok('logs', '--no-log-prefix', 'migrate'), /Address: 172\.30\.5\.10\n[^]*migrated/);
  assert.equal(await compose.ok('exec', '-T', 'web', 'cat', '/etc/greeting', '/run/secrets/key'), 'hello\ns3cret');
  assert.deepEqual([await compose.ok('port', '--index', '1', 'web', '80'), await compose.ok('port', '--index', '2', 'web', '80')].toSorted(), ['0.0.0.0:18080', '0.0.0.0:18081']);
  for (const port of [18_080, 18_081]) assert.match((await daemon.talk('tcp', '127.0.0.1', port, { text: 'GET /index.html HTTP/1.0\r\n\r\n' })).stdout, /200 OK[^]*[0-9a-f]{12}/);
  assert.equal((await daemon.inspect('shop-web-1')).HostConfig.Memory, 64 << 20);
  assert.match(await compose.ok('top', 'db'), /sleep 0\.05/);
  assert.match(await compose.ok('images', 'db'), /busybox/);
  assert.match(await compose.ok('ls'), /shop\s+running\(3\)/);
});

test('what has not changed is left alone; what has is made again, with its data', async () => {
  const { Id: db } = await daemon.inspect('shop-db-1');
  const { Id: web } = await daemon.inspect('shop-web-1');
  await compose.ok('up', '-d', '--scale', 'web=2');
  assert.equal((await daemon.inspect('shop-web-1')).Id, web);
  compose.write('compose.yaml', FILE.replace('MODE: one', 'MODE: two').replace('retries: 20', 'retries: 21'));
  await compose.ok('exec', '-T', 'db', 'sh', '-c', 'echo kept > /data/kept');
  await compose.ok('up', '-d', '--scale', 'web=1');
  assert.notEqual((await daemon.inspect('shop-db-1')).Id, db);
  assert.equal(await compose.ok('exec', '-T', 'db', 'cat', '/data/kept'), 'kept');
  assert.equal(await compose.ok('exec', '-T', 'web', 'sh', '-c', 'echo $MODE'), 'two');
  assert.deepEqual((await states()).filter((line) => line.includes('web')).length, 1);
});

test('run, exec codes, cp, profiles, pause, restart, kill', async () => {
  assert.equal((await compose.run(['run', '--rm', '-T', 'migrate', 'cat'], { stdin: 'piped\n' })).stdout, 'piped\n');
  assert.equal((await compose.run(['exec', '-T', 'db', 'sh', '-c', 'exit 7'])).code, 7);
  await compose.ok('cp', `${compose.folder}/greeting`, 'db:/data/');
  assert.equal(await compose.ok('exec', '-T', 'db', 'cat', '/data/greeting'), 'hello');
  await compose.ok('--profile', 'tools', 'up', '-d', 'tool');
  assert.match(await compose.ok('--profile', 'tools', 'exec', '-T', 'tool', 'ip', 'addr'), /172\.30\.5\.10/);
  await compose.ok('pause', 'db');
  assert.ok((await states()).includes('shop-db-1 paused'));
  await compose.ok('unpause', 'db');
  await compose.ok('kill', 'web');
  assert.ok((await states()).some((line) => /web-\d exited/.test(line)));
  await compose.ok('start', 'web');
  await compose.ok('restart', '-t', '0', 'web');
  assert.ok((await states()).some((line) => /web-\d running/.test(line)));
});

test('the project does not notice that its daemon is killed', mooredOnly('log lines written while away are lost'), async () => {
  const before = await states();
  const pids = async (): Promise<number[]> => Promise.all(['shop-db-1', 'shop-tool-1'].map(async (name) => (await daemon.inspect(name)).State.Pid as number));
  const were = await pids();
  const follower = compose.session(['logs', '-f', '--no-log-prefix', 'db']);
  await follower.until(/line \d+/);
  await daemon.kill9();
  await follower.result();
  await daemon.start();
  assert.deepEqual(await states(), before);
  assert.deepEqual(await pids(), were);
  await compose.ok('stop', 'db');
  const numbers = lines(await compose.ok('logs', '--no-log-prefix', 'db')).map((line) => Number(/line (\d+)/.exec(line)?.[1]));
  assert.deepEqual(numbers, numbers.map((_, index) => index + 1));
});

test('down leaves the volume, down -v nothing', async () => {
  await compose.ok('--profile', 'tools', 'down', '-t', '0');
  assert.equal(await daemon.ok('ps', '-aq'), '');
  assert.equal(await daemon.ok('network', 'ls', '-q', '--filter', 'type=custom'), '');
  assert.equal(await daemon.ok('volume', 'ls', '-q', '--filter', 'label=kept'), 'shop_dbdata');
  await compose.ok('down', '-v');
  assert.equal(await daemon.ok('volume', 'ls', '-q'), '');
});
