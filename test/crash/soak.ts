/** `make soak`: random deaths until interrupted, for SOAK_SECONDS, or until something is wrong. SOAK_SEED repeats a run. */
import { campaign } from './campaign.ts';

const seed = Number(process.env['SOAK_SEED'] ?? Math.floor(Date.now() / 1000));
const until = performance.now() + Number(process.env['SOAK_SECONDS'] ?? Number.POSITIVE_INFINITY) * 1000;
let interrupted = false;
process.once('SIGINT', () => {
  interrupted = true;
});
try {
  console.log(await campaign({ seed, loop: 20, more: () => !interrupted && performance.now() < until, tell: (line) => console.log(`${line}\n`) }));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
