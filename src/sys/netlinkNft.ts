/**
 * Elements of nftables sets and maps, changed without the nft program: a published port is one message instead of a
 * process. Tables, chains and rules are nft's (`nft.ts`).
 */
import { bytesOf, parseAddress } from '../base/cidr.ts';
import { internal } from '../base/errors.ts';
import { NLM_F_CREATE, attr, nested } from './netlink.ts';
import type { Message, NetlinkSocket } from './netlink.ts';

const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_DELSETELEM = 14;
const NFPROTO: Readonly<Record<string, number>> = { inet: 1, ip: 2, ip6: 10 };
const NFTA_LIST_ELEM = 1;
const NFTA_SET_ELEM_LIST = { table: 1, set: 2, elements: 3 } as const;
const NFTA_SET_ELEM = { key: 1, data: 2 } as const;
const NFTA_DATA_VALUE = 1;
const IFNAMSIZ = 16;
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** A value and the type that the set has for it. */
export interface ElementPart {
  readonly type: string;
  readonly value: string | number;
}

export interface ElementChange {
  readonly verb: 'add' | 'delete';
  readonly set: string;
  readonly key: readonly ElementPart[];
  /** Of a map; not needed for a deletion. */
  readonly data?: readonly ElementPart[];
}

/**
 * Makes all changes as one transaction, or none, on a netfilter socket. An element that is to be deleted has to be
 * there. Keep the socket: closing one waits for what the kernel still has to destroy, some 20 ms.
 */
export function changeElements(socket: NetlinkSocket, place: { family: string; table: string }, changes: readonly ElementChange[]): void {
  if (changes.length === 0) return;
  const mark = (type: number): Message => ({ type, body: Buffer.from([0, 0, 0, NFNL_SUBSYS_NFTABLES]), silent: true, what: 'nftables' });
  socket.transact([mark(NFNL_MSG_BATCH_BEGIN), ...changes.map((change) => elementMessage(place, change)), mark(NFNL_MSG_BATCH_END)]);
}

function elementMessage({ family, table }: { family: string; table: string }, change: ElementChange): Message {
  const add = change.verb === 'add';
  const parts = [nested(NFTA_SET_ELEM.key, attr(NFTA_DATA_VALUE, pack(change.key)))];
  if (add && change.data !== undefined) parts.push(nested(NFTA_SET_ELEM.data, attr(NFTA_DATA_VALUE, pack(change.data))));
  return {
    type: (NFNL_SUBSYS_NFTABLES << 8) | (add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM),
    flags: add ? NLM_F_CREATE : 0,
    what: `${change.verb} element of ${table} ${change.set}`,
    body: Buffer.concat([
      Buffer.from([NFPROTO[family] ?? 0, 0, 0, 0]),
      attr(NFTA_SET_ELEM_LIST.table, table),
      attr(NFTA_SET_ELEM_LIST.set, change.set),
      nested(NFTA_SET_ELEM_LIST.elements, nested(NFTA_LIST_ELEM, ...parts)),
    ]),
  };
}

/** Parts of a concatenation stand on borders of four bytes; a single value is not padded. */
function pack(parts: readonly ElementPart[]): Buffer {
  const packed = parts.map(packPart);
  if (packed.length === 1) return Buffer.concat(packed);
  return Buffer.concat(packed.map((part) => Buffer.concat([part, Buffer.alloc((4 - (part.length % 4)) % 4)])));
}

function packPart({ type, value }: ElementPart): Buffer {
  switch (type) {
    case 'inet_proto': return Buffer.from([PROTOCOLS[value] ?? Number(value)]);
    case 'inet_service': return Buffer.from([Number(value) >> 8, Number(value) & 255]);
    case 'ifname': return Buffer.concat([Buffer.from(String(value))], IFNAMSIZ);
    default: {
      const address = parseAddress(String(value));
      if (address === undefined) throw internal(`not a value of type ${type}: ${value}`);
      return bytesOf(address);
    }
  }
}
