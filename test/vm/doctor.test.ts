/** `moored doctor` where systemd runs the daemon: what the packaged units are, and what others make of them. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { useHost } from './host.ts';

interface Finding {
  readonly level: string;
  readonly subject: string;
  readonly check: string;
  readonly text: string;
}

suite('doctor under systemd', () => {
  const host = useHost({ 'live-restore': true });

  /** Its exit code, and the findings that are not ok, as `level check: text`. */
  async function doctor(): Promise<{ code: number; complaints: string[]; unit: string[] }> {
    const { code, stdout, stderr } = await host().machine.run('moored doctor --json');
    assert.equal(stderr, '');
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    const told = (list: readonly Finding[]): string[] => list.map(({ level, check, text }) => `${level} ${check}: ${text}`);
    return { code, complaints: told(findings.filter(({ level }) => level !== 'ok')), unit: told(findings.filter(({ check }) => check === 'unit')) };
  }

  /** Settings of the service on top of the packaged ones. */
  async function dropIn(...settings: readonly string[]): Promise<void> {
    await host().ok(`mkdir -p /etc/systemd/system/moored.service.d; printf '%s\\n' '[Service]' ${settings.map((setting) => `'${setting}'`).join(' ')} >/etc/systemd/system/moored.service.d/test.conf; systemctl daemon-reload`);
  }

  test('the packaged units: all holds', async () => {
    await host().run('web', ['sleep', '100000']);
    const { code, complaints, unit } = await doctor();
    assert.deepEqual([code, complaints], [0, []]);
    assert.deepEqual(unit, ['ok unit: moored.service: KillMode=process, Delegate=yes']);
  });

  test('settings that would take containers along are found', async () => {
    await dropIn('KillMode=control-group', 'Delegate=no', 'Restart=no', 'RuntimeDirectory=moored');
    const { code, unit } = await doctor();
    assert.equal(code, 1);
    assert.deepEqual(unit.map((line) => line.replace(/ has.*| lacks.*/, '')), ['problem unit: moored.service', 'problem unit: moored.service', 'note unit: moored.service', 'note unit: moored.service']);
    assert.match(unit.join('\n'), /KillMode=control-group[^]*RuntimeDirectory=[^]*lacks Delegate=yes[^]*Restart=no/);
  });

  test('a daemon with mounts of its own is found, by its settings and by what it is', async () => {
    await dropIn('PrivateTmp=yes');
    assert.match((await doctor()).unit.join('\n'), /^problem unit: moored\.service has PrivateTmp=yes/);
    await host().ok('systemctl restart moored.service');
    assert.match((await doctor()).unit.join('\n'), /problem unit: the daemon \(process \d+\) has a mount namespace of its own/);
    await host().ok('rm -r /etc/systemd/system/moored.service.d; systemctl daemon-reload; systemctl restart moored.service');
  });

  test('without its socket, and without a daemon', async () => {
    await host().ok('systemctl stop moored.socket moored.service');
    const { code, complaints } = await doctor();
    assert.equal(code, 0);
    assert.match(complaints.join('\n'), /note daemon: does not run[^]*note unit: moored\.socket is not active/);
    await host().ok('systemctl start moored.socket moored.service');
    assert.deepEqual((await doctor()).complaints, []);
  });
});
