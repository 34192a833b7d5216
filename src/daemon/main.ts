/**
 * The program. A SIGHUP before its handler is in place ends a process, and `systemctl reload` may come at any time: so the
 * handler is the first thing there is, and all else is imported after it.
 */
import { enableCompileCache } from 'node:module';

const hangUps = { count: 0, notify: () => {} };
process.on('SIGHUP', () => {
  hangUps.count += 1;
  hangUps.notify();
});
// Until there is something to say; by default Node would open its debugger.
process.on('SIGUSR1', () => {});

async function main(): Promise<void> {
  // It reads the host and ends: no daemon, and nothing that one needs.
  if (process.argv[2] === 'doctor') {
    const { doctor } = await import('./doctor.ts');
    process.exit(await doctor(process.argv.slice(3)));
  }
  // It talks to shims, with or without a daemon.
  if (process.argv[2] === 'shim-upgrade') {
    const { shimUpgrade } = await import('./shimUpgrade.ts');
    process.exit(await shimUpgrade(process.argv.slice(3)));
  }
  if (process.argv[2] === 'trace') {
    const { trace } = await import('./trace.ts');
    process.exit(await trace(process.argv.slice(3)));
  }
  // Half of a start from source is reading it: what was read once is kept. Where the folder cannot be written nothing is.
  if (import.meta.filename.endsWith('.ts')) enableCompileCache('/var/cache/moored');
  const { boot } = await import('./boot.ts');
  await boot(process.argv.slice(2), hangUps);
}

void main();
