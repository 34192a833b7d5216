import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { proxyFor, withEnvironment } from './proxy.ts';
import { Transport } from './transport.ts';

const SET = { http: 'http://p:1', https: 'p:2', no: '' };

test('by the scheme, never for loopback', () => {
  const cases: Record<string, string | undefined> = {
    'http://reg.test/v2/': 'http://p:1', 'https://reg.test:5000/': 'http://p:2',
    'http://localhost:5000': undefined, 'http://127.8.0.1': undefined, 'https://[::1]:5000': undefined,
  };
  for (const [url, expected] of Object.entries(cases)) assert.equal(proxyFor(new URL(url), SET), expected, url);
  assert.equal(proxyFor(new URL('https://reg.test'), { ...SET, https: '' }), undefined);
});

test('what NO_PROXY exempts', () => {
  const exempt: [string, string, boolean][] = [
    ['reg.test', 'reg.test', true], ['reg.test', 'a.reg.test', true], ['reg.test', 'areg.test', false], ['.reg.test', 'reg.test', false], ['.reg.test', 'a.reg.test', true],
    ['*.reg.test', 'a.reg.test', true], ['*', 'any', true], ['x, REG.test', 'reg.test', true], ['reg.test:80', 'reg.test', true], ['reg.test:81', 'reg.test', false],
    ['10.0.0.0/8', '10.1.2.3', true], ['10.0.0.0/8', '11.1.2.3', false], ['10.1.2.3', '10.1.2.3', true], ['fd00::/8', '[fd00::1]', true], ['fd00::1', '[fd00::1]', true], ['', 'reg.test', false], ['10.0.0.0/99', '10.1.2.3', false],
  ];
  for (const [no, host, expected] of exempt) assert.equal(proxyFor(new URL(`http://${host}/`), { ...SET, no }) === undefined, expected, `${no} ${host}`);
});

test('options come before the environment', () => {
  assert.deepEqual(withEnvironment({ http: 'a', https: '', no: '' }, { HTTP_PROXY: 'b', https_proxy: 'c', NO_PROXY: 'd' }), { http: 'a', https: 'c', no: 'd' });
});

test('a request goes by the proxy, which is told the name and not an address', { timeout: 10_000 }, async () => {
  const server = http.createServer((_request, response) => response.end('through')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const asked: string[] = [];
  const proxy = http.createServer().listen(0, '127.0.0.1');
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    const upstream = net.connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
  });
  await once(proxy, 'listening');
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const transport = new Transport({ certsFolder: '/nonexistent', insecure: [], proxy: { http: address, https: '', no: '' }, userAgent: 'x', timeoutMs: { connect: 2000, idle: 2000 } });
  try {
    const response = await transport.send({ method: 'GET', url: 'http://registry.invalid/v2/', headers: {}, verify: true, signal: AbortSignal.timeout(5000) });
    let text = '';
    for await (const chunk of response.body.setEncoding('utf8')) text += String(chunk);
    assert.deepEqual({ text, asked }, { text: 'through', asked: ['registry.invalid:80'] });
  } finally {
    await transport.close();
    server.closeAllConnections();
    server.close();
    proxy.closeAllConnections();
    proxy.close();
  }
});
