/**
 * What a crash test knows for certain: an operation that was answered has happened, one that was not may have happened or
 * not, and nothing else may have changed. `Model` runs random operations against a daemon, remembers their answers, and
 * checks the next daemon against them.
 */
import assert from 'node:assert/strict';
import type { Daemon } from '../fixtures/daemon.ts';
import type { HttpAnswer } from '../fixtures/http.ts';
import { alive, eventually, memoryLimit, startTime } from '../fixtures/processes.ts';
import { PlainFact, plainKinds } from './plainModel.ts';
import { pick } from './random.ts';
import type { Random } from './random.ts';
import type { Stage } from './witnesses/witness.ts';

/** Whether an object exists, or a container runs: known, or not after an answer that never came. */
export type Known = 'yes' | 'no' | 'unknown';

interface ContainerFact {
  readonly name: string;
  id: string | undefined;
  exists: Known;
  running: Known;
  /** On the network `lane`. */
  connected: Known;
  /** Bytes of memory it may have; undefined: one of several. */
  memory: number | undefined;
  /** Of the process that was seen to run: it must be the same as long as nobody asked for another. */
  process: { readonly pid: number; readonly born: string | undefined } | undefined;
}

/** A network that is always there. */
export const LANE = 'lane';

const OPERATIONS = ['start', 'start', 'start', 'stop', 'kill', 'restart', 'rm', 'exec', 'pause', 'connect', 'disconnect', 'update'] as const;

export type Ask = (operation: string, request: { method: string; path: string; body?: unknown }) => Promise<HttpAnswer | undefined>;

export class Model {
  readonly #daemon: Daemon;
  readonly #random: Random;
  readonly #containers: ContainerFact[];
  readonly #plain: PlainFact[];
  /** Operations that were answered, by name. */
  readonly answered = new Map<string, number>();
  /** How many answers there were about containers: networks and volumes are so quick that they would set the pace. */
  answers = 0;

  constructor({ daemon, random, pulled }: Stage & { pulled?: string }) {
    this.#daemon = daemon;
    this.#random = random;
    this.#containers = Array.from({ length: 4 }, (_, index) => ({ name: `subject-${index}`, id: undefined, exists: 'no', running: 'no', connected: 'no', memory: 0, process: undefined }));
    this.#plain = plainKinds(pulled).map((kind) => new PlainFact(kind, this.#ask));
  }

  /** Does operations on all objects side by side, one at a time per object, until `stopped` says so or the daemon is gone. */
  async work(stopped: () => boolean): Promise<void> {
    const subjects = [...this.#containers.map((fact) => () => this.#workOn(fact)), ...this.#plain.map((fact) => () => fact.work())];
    await Promise.all(subjects.map(async (step) => {
      while (!stopped() && (await step()));
    }));
  }

  /** Gives false when the daemon did not answer. */
  async #workOn(fact: ContainerFact): Promise<boolean> {
    const operation = fact.exists === 'no' ? 'create' : pick(this.#random, OPERATIONS);
    const { name } = fact;
    switch (operation) {
      case 'create': {
        fact.exists = 'unknown';
        const answer = await this.#ask(operation, { method: 'POST', path: `/containers/create?name=${name}`, body: {
          Image: 'busybox',
          Cmd: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.02; done'],
          Volumes: { '/anonymous': {} },
          HostConfig: { PortBindings: { '7/tcp': [{ HostPort: String(20_000 + Number(name.slice(-1))) }] }, ExtraHosts: [] },
        } });
        if (answer === undefined) return false;
        assert.equal(answer.status, 201, answer.text);
        Object.assign(fact, { id: answer.json().Id as string, exists: 'yes', running: 'no', connected: 'no', memory: 0, process: undefined });
        return true;
      }
      case 'rm':
        return this.#change(fact, operation, { method: 'DELETE', path: `/containers/${name}?force=1&v=1`, ok: [204] }, { exists: 'no', running: 'no', process: undefined });
      case 'stop':
        return this.#change(fact, operation, { method: 'POST', path: `/containers/${name}/stop?t=5`, ok: [204, 304] }, { running: 'no', process: undefined });
      case 'kill':
        return this.#change(fact, operation, { method: 'POST', path: `/containers/${name}/kill`, ok: [204, 409] }, { running: 'unknown', process: undefined });
      case 'start':
      case 'restart': {
        const untouched = operation === 'start' && fact.running === 'yes' ? fact.process : undefined;
        if (untouched === undefined) Object.assign(fact, { running: 'unknown', process: undefined });
        const answer = await this.#ask(operation, { method: 'POST', path: `/containers/${name}/${operation}` });
        if (answer === undefined) return false;
        // A daemon died between a pause and its end.
        if (answer.status === 409 && answer.text.includes('paused')) return (await this.#ask('unpause', { method: 'POST', path: `/containers/${name}/unpause` })) !== undefined;
        assert.ok([204, 304].includes(answer.status), answer.text);
        fact.running = 'yes';
        const inspected = await this.#ask('inspect', { method: 'GET', path: `/containers/${name}/json` });
        if (inspected === undefined) return false;
        const { Pid } = inspected.json().State;
        fact.process = untouched ?? { pid: Pid, born: startTime(Pid) };
        return true;
      }
      case 'exec': {
        const answer = await this.#ask(operation, { method: 'POST', path: `/containers/${name}/exec`, body: { Cmd: ['true'] } });
        if (answer?.status !== 201) return answer !== undefined;
        return (await this.#ask('exec start', { method: 'POST', path: `/exec/${answer.json().Id as string}/start`, body: { Detach: true } })) !== undefined;
      }
      case 'connect':
      case 'disconnect': {
        const connect = operation === 'connect';
        fact.connected = 'unknown';
        const answer = await this.#ask(operation, { method: 'POST', path: `/networks/${LANE}/${operation}`, body: { Container: name } });
        if (answer === undefined) return false;
        assert.ok(answer.status === 200 || answer.status === 403, `${operation}: ${answer.text}`);
        fact.connected = connect ? 'yes' : 'no';
        return true;
      }
      case 'update': {
        const memory = (32 + this.#random(64)) << 20;
        fact.memory = undefined;
        const answer = await this.#ask(operation, { method: 'POST', path: `/containers/${name}/update`, body: { Memory: memory, MemorySwap: -1 } });
        if (answer === undefined) return false;
        assert.equal(answer.status, 200, answer.text);
        fact.memory = memory;
        return true;
      }
      default: {
        const paused = await this.#ask('pause', { method: 'POST', path: `/containers/${name}/pause` });
        if (paused === undefined || paused.status !== 204) return paused !== undefined;
        return (await this.#ask('unpause', { method: 'POST', path: `/containers/${name}/unpause` })) !== undefined;
      }
    }
  }

  async #change(fact: ContainerFact, operation: string, call: { method: string; path: string; ok: readonly number[] }, result: Partial<ContainerFact>): Promise<boolean> {
    Object.assign(fact, Object.fromEntries(Object.keys(result).map((key) => [key, key === 'process' ? undefined : 'unknown'])));
    const answer = await this.#ask(operation, call);
    if (answer === undefined) return false;
    assert.ok(call.ok.includes(answer.status), `${operation}: ${answer.status} ${answer.text}`);
    Object.assign(fact, result);
    return true;
  }

  /** Checks what the daemon shows against what is known, and learns what was unknown. */
  async check(): Promise<void> {
    for (const fact of this.#containers) {
      const answer = await this.#inspect(fact.name);
      const there = answer.status === 200;
      agree(fact.exists, there, `${fact.name} exists`);
      fact.exists = there ? 'yes' : 'no';
      if (!there) {
        Object.assign(fact, { id: undefined, running: 'no', connected: 'no', memory: 0, process: undefined });
        continue;
      }
      this.#checkState(fact, answer.json());
    }
    for (const fact of this.#plain) await fact.check((where) => this.#daemon.request('GET', where));
  }

  /** Inspects, when the list agrees and a removal that was begun has been carried through. */
  #inspect(name: string): Promise<HttpAnswer> {
    return eventually(async () => {
      const answer = await this.#daemon.request('GET', `/containers/${name}/json`);
      if (answer.status === 200 && ['removing', 'dead'].includes(answer.json().State.Status as string)) return false;
      const listed = (await this.#daemon.request('GET', '/containers/json?all=1')).json() as { Names: string[] }[];
      return listed.filter(({ Names }) => Names.includes(`/${name}`)).length === (answer.status === 200 ? 1 : 0) && answer;
    }, `the list and the inspection of ${name} to agree, and no removal to go on`, 15_000);
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- the API's JSON
  #checkState(fact: ContainerFact, found: any): void {
    const { State } = found;
    if (fact.id !== undefined) assert.equal(found.Id, fact.id, `${fact.name} is another container`);
    fact.id = found.Id as string;
    agree(fact.running, State.Running, `${fact.name} runs (${JSON.stringify(State)})`);
    if (State.Running === true) {
      assert.ok(alive(State.Pid), `${fact.name}: process ${State.Pid} is shown and does not live`);
      if (fact.process !== undefined) assert.deepEqual({ pid: State.Pid, born: startTime(State.Pid) }, fact.process, `${fact.name} was restarted by nobody`);
      fact.process = { pid: State.Pid, born: startTime(State.Pid) };
    } else {
      assert.equal(State.Pid, 0);
      fact.process = undefined;
    }
    fact.running = State.Running === true ? 'yes' : 'no';
    agree(fact.connected, Object.hasOwn(found.NetworkSettings.Networks as object, LANE), `${fact.name} is on ${LANE}`);
    fact.connected = Object.hasOwn(found.NetworkSettings.Networks as object, LANE) ? 'yes' : 'no';
    if (fact.memory !== undefined) assert.equal(found.HostConfig.Memory, fact.memory, `${fact.name}: memory`);
    fact.memory = found.HostConfig.Memory as number;
    if (State.Running === true && fact.memory > 0) assert.equal(memoryLimit(State.Pid as number), fact.memory, `${fact.name}: the kernel has another limit than the record`);
    assert.equal(State.Paused && !State.Running, false);
  }

  readonly #ask: Ask = async (operation, { method, path, body }) => {
    let answer: HttpAnswer;
    try {
      answer = await this.#daemon.request(method, path, body === undefined ? {} : { body });
      // One that died within its answer did not answer.
      for (const line of answer.text.split('\n')) if (line !== '') JSON.parse(line);
    } catch {
      return undefined;
    }
    if (path.startsWith('/containers') || path.startsWith('/exec')) this.answers += 1;
    this.answered.set(operation, (this.answered.get(operation) ?? 0) + 1);
    return answer;
  };
}

function agree(known: Known, shown: boolean, what: string): void {
  if (known !== 'unknown') assert.equal(shown, known === 'yes', what);
}
