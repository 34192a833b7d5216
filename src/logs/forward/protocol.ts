/** What the daemon and the thread that forwards logs say to each other. Both sides are copied. */
import type { ForwardJob, ForwardState } from '../../core/ports/logTargets.ts';
import type { ForwardChange } from './forwarder.ts';

export type ToThread =
  | { readonly kind: 'start'; readonly job: ForwardJob }
  | { readonly kind: 'ended'; readonly id: string }
  | { readonly kind: 'finish'; readonly id: string; readonly call: number }
  | { readonly kind: 'states'; readonly call: number }
  | { readonly kind: 'close'; readonly call: number };

export type FromThread =
  | { readonly kind: 'change'; readonly id: string; readonly address: string; readonly change: ForwardChange }
  /** All is delivered, and nothing more comes. */
  | { readonly kind: 'done'; readonly id: string }
  /** Bytes that were given up. */
  | { readonly kind: 'finished'; readonly call: number; readonly undelivered: number }
  | { readonly kind: 'states'; readonly call: number; readonly states: ForwardState[] }
  | { readonly kind: 'closed'; readonly call: number };
