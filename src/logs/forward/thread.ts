/** The thread that forwards logs: all forwarders of the daemon, side by side. */
import { serveChannel } from '../../sys/channelThread.ts';
import { ForwarderTable } from './forwarderTable.ts';
import type { FromThread, ToThread } from './protocol.ts';

const table = new ForwarderTable((message) => post(message));
const post = serveChannel<ToThread, FromThread>((message) => table.handle(message));
