/** Links, addresses and routes (rtnetlink) of the namespace in which the object is made. */
import { isIPv4 } from 'node:net';
import { addressOfBytes, bytesOf, formatAddress, parseAddress } from '../base/cidr.ts';
import { internal } from '../base/errors.ts';
import {
  NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NetlinkSocket, attr, attr8, nested, parseAttributes, text,
} from './netlink.ts';
import type { Answer, Message } from './netlink.ts';

const RTM = {
  newLink: 16, delLink: 17, getLink: 18, newAddress: 20, delAddress: 21, getAddress: 22, newRoute: 24, delRoute: 25, getRoute: 26,
} as const;
const IFLA = { address: 1, name: 3, mtu: 4, link: 5, master: 10, linkInfo: 18, alias: 20, netnsFd: 28 } as const;
const IFLA_INFO = { kind: 1, data: 2, slaveKind: 4, slaveData: 5 } as const;
const IFLA_BR = { stpState: 5, mcastSnooping: 23 } as const;
const IFLA_BRPORT = { hairpin: 4, isolated: 33 } as const;
const VETH_INFO_PEER = 1;
const IFA = { address: 1, local: 2, broadcast: 4, flags: 8 } as const;
const IFA_F_NODAD = 0x02;
const RTA = { dst: 1, oif: 4, gateway: 5, priority: 6, prefsrc: 7, table: 15 } as const;
const IFF_UP = 1;
const AF = { unspec: 0, inet: 2, inet6: 10 } as const;
const RT_TABLE_MAIN = 254;
const RT_SCOPE = { universe: 0, link: 253, host: 254 } as const;
const RTPROT_STATIC = 4;
const RTN_UNICAST = 1;
const RTNH_F_ONLINK = 4;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth`, …; empty for devices. */
  readonly kind: string;
  /** Index of the bridge it belongs to, or 0. */
  readonly master: number;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly alias: string;
  /** Of a bridge port. */
  readonly hairpin: boolean;
  readonly isolated: boolean;
}

export interface LinkAddress {
  readonly index: number;
  readonly address: string;
  readonly prefixLength: number;
  /** Scope `link` (253): made by the kernel for v6. */
  readonly scope: number;
}

export interface Route {
  /** Empty: default route. */
  readonly dst: string;
  readonly prefixLength: number;
  readonly family: 4 | 6;
  readonly gateway: string;
  readonly oif: number;
  readonly table: number;
  readonly type: number;
}

export interface LinkChange {
  readonly up?: boolean;
  readonly mtu?: number;
  readonly mac?: string;
  readonly name?: string;
  readonly alias?: string;
  /** 0 takes it out of its bridge. */
  readonly master?: number;
}

export interface VethRequest {
  readonly name: string;
  readonly mtu: number;
  readonly alias: string;
  /** Index of the bridge, or 0. */
  readonly master: number;
  readonly peer: { readonly name: string; readonly mac: string; readonly netnsFd: number };
}

const familyOf = (address: string): number => (isIPv4(address) ? AF.inet : AF.inet6);

export class RouteSocket implements Disposable {
  readonly #socket = new NetlinkSocket(NETLINK_ROUTE);

  links(): Link[] {
    return this.#socket.dump({ type: RTM.getLink, body: linkHeader(0) }).map(linkOf);
  }

  /** The link of that name, or undefined. */
  link(name: string): Link | undefined {
    try {
      return linkOf(this.#socket.ask({ type: RTM.getLink, body: Buffer.concat([linkHeader(0), attr(IFLA.name, name)]), what: `link ${name}` }));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENODEV') return undefined;
      throw error;
    }
  }

  /** Makes a bridge that is up, without spanning tree. */
  addBridge(name: string, options: { mac: string; mtu: number; alias: string }): void {
    const info = nested(IFLA.linkInfo, attr(IFLA_INFO.kind, 'bridge'), nested(IFLA_INFO.data, attr(IFLA_BR.stpState, 0)));
    this.#socket.transact([
      {
        type: RTM.newLink,
        flags: NLM_F_CREATE | NLM_F_EXCL,
        what: `create bridge ${name}`,
        body: Buffer.concat([
          linkHeader(0, true), attr(IFLA.name, name), attr(IFLA.address, packMac(options.mac)), attr(IFLA.mtu, options.mtu), info,
        ]),
      },
      changeByName(name, { alias: options.alias }),
    ]);
  }

  /** Makes a pair: this end up, in its bridge and in hairpin mode, the other in another namespace, down. */
  addVeth(request: VethRequest): void {
    const { peer } = request;
    const peerBody = Buffer.concat([
      linkHeader(0), attr(IFLA.name, peer.name), attr(IFLA.mtu, request.mtu), attr(IFLA.address, packMac(peer.mac)), attr(IFLA.netnsFd, peer.netnsFd),
    ]);
    const data = nested(IFLA_INFO.data, attr(VETH_INFO_PEER, peerBody));
    this.#socket.transact([
      {
        type: RTM.newLink,
        flags: NLM_F_CREATE | NLM_F_EXCL,
        what: `create link ${request.name}`,
        body: Buffer.concat([
          linkHeader(0, true),
          attr(IFLA.name, request.name),
          attr(IFLA.mtu, request.mtu),
          ...(request.master === 0 ? [] : [attr(IFLA.master, request.master)]),
          nested(IFLA.linkInfo, attr(IFLA_INFO.kind, 'veth'), data),
        ]),
      },
      changeByName(request.name, { alias: request.alias }),
    ]);
  }

  /** Options of a bridge port; `isolated` ports do not reach each other, only the bridge itself. */
  setBridgePort(name: string, options: { hairpin: boolean; isolated: boolean }): void {
    const port = nested(IFLA_INFO.slaveData, attr8(IFLA_BRPORT.hairpin, Number(options.hairpin)), attr8(IFLA_BRPORT.isolated, Number(options.isolated)));
    const info = nested(IFLA.linkInfo, attr(IFLA_INFO.slaveKind, 'bridge'), port);
    this.#socket.transact([
      { type: RTM.newLink, what: `set port ${name}`, body: Buffer.concat([linkHeader(0), attr(IFLA.name, name), info]) },
    ]);
  }

  setLink(name: string, change: LinkChange): void {
    this.#socket.transact([changeByName(name, change)]);
  }

  /** Deletes a link; one that is not there is deleted already. */
  deleteLink(name: string): void {
    this.#socket.transact([deletion(name)]);
  }

  addresses(): LinkAddress[] {
    return this.#socket.dump({ type: RTM.getAddress, body: Buffer.alloc(8) }).map(addressOf);
  }

  /** Adds an address; without duplicate address detection, so that it is usable at once. */
  addAddress(index: number, address: string, prefixLength: number): void {
    const packed = packAddress(address);
    const attributes = [attr(IFA.local, packed), attr(IFA.address, packed)];
    if (isIPv4(address)) {
      if (prefixLength < 31) attributes.push(attr(IFA.broadcast, broadcastOf(packed, prefixLength)));
    } else {
      attributes.push(attr(IFA.flags, IFA_F_NODAD));
    }
    this.#socket.transact([
      {
        type: RTM.newAddress,
        flags: NLM_F_CREATE | NLM_F_EXCL,
        tolerate: ['EEXIST'],
        what: `add address ${address}`,
        body: Buffer.concat([addressHeader(familyOf(address), prefixLength, index), ...attributes]),
      },
    ]);
  }

  deleteAddress(index: number, address: string, prefixLength: number): void {
    const packed = packAddress(address);
    this.#socket.transact([
      {
        type: RTM.delAddress,
        tolerate: ['EADDRNOTAVAIL'],
        what: `delete address ${address}`,
        body: Buffer.concat([addressHeader(familyOf(address), prefixLength, index), attr(IFA.local, packed), attr(IFA.address, packed)]),
      },
    ]);
  }

  /** Routes of all tables, both families. */
  routes(): Route[] {
    return [AF.inet, AF.inet6].flatMap((family) =>
      this.#socket.dump({ type: RTM.getRoute, body: routeHeader({ family, prefixLength: 0 }) }).map(routeOf),
    );
  }

  /** Makes the default route of one family go to a gateway, or straight to a link (`gateway` empty). */
  replaceDefaultRoute(family: 4 | 6, gateway: string, oif: number): void {
    const header = routeHeader({
      family: family === 4 ? AF.inet : AF.inet6,
      prefixLength: 0,
      scope: gateway === '' && family === 4 ? RT_SCOPE.link : RT_SCOPE.universe,
      flags: gateway === '' ? 0 : RTNH_F_ONLINK,
    });
    const attributes = [attr(RTA.oif, oif), ...(gateway === '' ? [] : [attr(RTA.gateway, packAddress(gateway))])];
    this.#socket.transact([
      { type: RTM.newRoute, flags: NLM_F_CREATE | NLM_F_REPLACE, body: Buffer.concat([header, ...attributes]), what: `set default route ${gateway}` },
    ]);
  }

  deleteDefaultRoute(family: 4 | 6): void {
    const header = routeHeader({ family: family === 4 ? AF.inet : AF.inet6, prefixLength: 0, protocol: 0 });
    this.#socket.transact([{ type: RTM.delRoute, body: header, tolerate: ['ESRCH', 'ENOENT', 'EAFNOSUPPORT', 'EOPNOTSUPP'], what: 'delete default route' }]);
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** Deletes a link of the daemon's namespace without making anybody wait: it takes the kernel some 20 ms. */
export async function deleteLink(name: string): Promise<void> {
  using socket = new NetlinkSocket(NETLINK_ROUTE);
  await socket.transactSlowly(deletion(name));
}

function deletion(name: string): Message {
  return { type: RTM.delLink, body: Buffer.concat([linkHeader(0), attr(IFLA.name, name)]), tolerate: ['ENODEV'], what: `delete link ${name}` };
}

function changeByName(name: string, change: LinkChange): Message {
  const attributes = [attr(IFLA.name, name)];
  if (change.mtu !== undefined) attributes.push(attr(IFLA.mtu, change.mtu));
  if (change.mac !== undefined) attributes.push(attr(IFLA.address, packMac(change.mac)));
  if (change.alias !== undefined) attributes.push(attr(IFLA.alias, Buffer.from(change.alias)));
  if (change.master !== undefined) attributes.push(attr(IFLA.master, change.master));
  return { type: RTM.newLink, what: `change link ${name}`, body: Buffer.concat([linkHeader(0, change.up), ...attributes]) };
}

/** struct ifinfomsg. */
function linkHeader(index: number, up?: boolean): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  if (up !== undefined) {
    header.writeUInt32LE(up ? IFF_UP : 0, 8);
    header.writeUInt32LE(IFF_UP, 12);
  }
  return header;
}

/** struct ifaddrmsg. */
function addressHeader(family: number, prefixLength: number, index: number): Buffer {
  const header = Buffer.alloc(8);
  header[0] = family;
  header[1] = prefixLength;
  header[2] = family === AF.inet6 ? IFA_F_NODAD : 0;
  header.writeUInt32LE(index, 4);
  return header;
}

/** struct rtmsg. */
function routeHeader(options: { family: number; prefixLength: number; scope?: number; flags?: number; protocol?: number }): Buffer {
  const header = Buffer.alloc(12);
  header[0] = options.family;
  header[1] = options.prefixLength;
  header[4] = RT_TABLE_MAIN;
  header[5] = options.protocol ?? RTPROT_STATIC;
  header[6] = options.scope ?? RT_SCOPE.universe;
  header[7] = RTN_UNICAST;
  header.writeUInt32LE(options.flags ?? 0, 8);
  return header;
}

function linkOf({ body }: Answer): Link {
  const attributes = parseAttributes(body, 16);
  const info = parseAttributes(attributes.get(IFLA.linkInfo) ?? Buffer.alloc(0));
  const port = text(info.get(IFLA_INFO.slaveKind)) === 'bridge' ? parseAttributes(info.get(IFLA_INFO.slaveData) ?? Buffer.alloc(0)) : undefined;
  return {
    index: body.readInt32LE(4),
    name: text(attributes.get(IFLA.name)),
    kind: text(info.get(IFLA_INFO.kind)),
    master: attributes.get(IFLA.master)?.readUInt32LE(0) ?? 0,
    mac: [...(attributes.get(IFLA.address) ?? [])].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    mtu: attributes.get(IFLA.mtu)?.readUInt32LE(0) ?? 0,
    up: (body.readUInt32LE(8) & IFF_UP) !== 0,
    alias: text(attributes.get(IFLA.alias)),
    hairpin: port?.get(IFLA_BRPORT.hairpin)?.[0] === 1,
    isolated: port?.get(IFLA_BRPORT.isolated)?.[0] === 1,
  };
}

function addressOf({ body }: Answer): LinkAddress {
  const attributes = parseAttributes(body, 8);
  return {
    index: body.readUInt32LE(4),
    prefixLength: body[1] ?? 0,
    scope: body[3] ?? 0,
    address: unpackAddress(attributes.get(IFA.local) ?? attributes.get(IFA.address)),
  };
}

function routeOf({ body }: Answer): Route {
  const attributes = parseAttributes(body, 12);
  return {
    family: body[0] === AF.inet ? 4 : 6,
    prefixLength: body[1] ?? 0,
    dst: unpackAddress(attributes.get(RTA.dst)),
    gateway: unpackAddress(attributes.get(RTA.gateway)),
    oif: attributes.get(RTA.oif)?.readUInt32LE(0) ?? 0,
    table: attributes.get(RTA.table)?.readUInt32LE(0) ?? body[4] ?? 0,
    type: body[7] ?? 0,
  };
}

const packMac = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

function packAddress(address: string): Buffer {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw internal(`not an address: ${address}`);
  return bytesOf(parsed);
}

const unpackAddress = (packed: Buffer | undefined): string => (packed === undefined ? '' : formatAddress(addressOfBytes(packed)));

function broadcastOf(packed: Buffer, prefixLength: number): Buffer {
  const broadcast = Buffer.alloc(4);
  broadcast.writeUInt32BE((packed.readUInt32BE() | (2 ** (32 - prefixLength) - 1)) >>> 0);
  return broadcast;
}
