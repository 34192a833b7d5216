/**
 * The program `moored-dns FOLDER VERSION`, started by the daemon and outliving it. What was read of its source once is
 * kept.
 */
import { enableCompileCache } from 'node:module';

process.on('SIGHUP', () => {});

async function main(): Promise<void> {
  if (import.meta.filename.endsWith('.ts')) enableCompileCache('/var/cache/moored');
  const { program } = await import('./program.ts');
  await program(process.argv.slice(2));
}

void main();
