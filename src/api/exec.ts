/** Exec sessions (engine-api A3): what can be refused is refused before the connection is taken; what fails after is told on the stream. */
import { messageOf } from '../base/errors.ts';
import type { Container, ExecSession } from '../engine/container.ts';
import { publishContainer } from '../engine/context.ts';
import type { EngineContext } from '../engine/context.ts';
import { checkExecStart, createExec, findExec, resizeExec, startExec } from '../engine/exec.ts';
import { decodeExecCreate, decodeExecStart } from '../wire/containerBodies.ts';
import { parseDetachKeys } from '../wire/detachKeys.ts';
import { streamFrame } from '../wire/logFrames.ts';
import { hijackType } from './containerStreams.ts';
import { terminalSize } from './containers.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';
import type { Route } from './router.ts';
import { splice } from './splice.ts';

export function execRoutes(ctx: EngineContext): Route[] {
  return [
    {
      method: 'POST', pattern: '/containers/{id}/exec',
      handler: async (request, response) => {
        const container = ctx.containers.resolve(request.param('id'));
        const body = decodeExecCreate(await request.jsonText());
        parseDetachKeys(body.detachKeys);
        response.value({ Id: createExec(ctx, container, { ...body, cmd: [...body.cmd], env: [...body.env], consoleSize: body.consoleSize ?? [0, 0] }) }, 201);
      },
    },
    { method: 'POST', pattern: '/exec/{id}/start', hijack: true, handler: (request, response) => start(ctx, request, response) },
    {
      method: 'POST', pattern: '/exec/{id}/resize',
      handler: async (request, response) => {
        const { session } = findExec(ctx, request.param('id'));
        const { rows, cols } = terminalSize(request);
        await resizeExec(session, rows, cols);
        response.empty(200);
      },
    },
    {
      method: 'GET', pattern: '/exec/{id}/json',
      handler: (request, response) => {
        const { container, session } = findExec(ctx, request.param('id'));
        response.value(execView(container, session));
      },
    },
  ];
}

async function start(ctx: EngineContext, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { container, session } = findExec(ctx, request.param('id'));
  const body = decodeExecStart(await request.jsonText());
  checkExecStart(container, session);
  const { record } = session;
  if (body.detach) {
    await startExec(ctx, container, { session, detach: true, tty: record.tty, consoleSize: body.consoleSize, signal: request.signal });
    response.empty(200);
    return;
  }
  const gone = new AbortController();
  const client = response.hijack({ contentType: hijackType(record.tty, request) });
  client.once('close', () => gone.abort());
  client.on('error', () => gone.abort());
  try {
    const stream = await startExec(ctx, container, { session, detach: false, tty: record.tty, consoleSize: body.consoleSize, signal: gone.signal });
    if (stream === null) return;
    const detached = await splice(client, stream, {
      stdin: record.attachStdin,
      detachKeys: record.tty && record.attachStdin ? parseDetachKeys(record.detachKeys) : undefined,
      onInputEnd: 'half-close',
      // Clients ask for the exit code next.
      settled: () => session.ended,
    });
    if (detached) publishContainer(ctx, container.subject, 'exec_detach', { execID: record.id });
  } catch (error) {
    const text = Buffer.from(`${messageOf(error)}\r\n`);
    client.end(record.tty ? text : streamFrame(1, text));
  }
}

function execView(container: Container, session: ExecSession): unknown {
  const { record } = session;
  const [entrypoint = '', ...args] = record.cmd;
  return {
    ID: record.id,
    Running: session.running,
    ExitCode: session.exitCode,
    ProcessConfig: {
      tty: record.tty,
      entrypoint,
      arguments: args,
      privileged: record.privileged,
      ...(record.user === '' ? {} : { user: record.user }),
    },
    OpenStdin: record.attachStdin,
    OpenStderr: record.attachStderr,
    OpenStdout: record.attachStdout,
    CanRemove: session.exitCode !== null,
    ContainerID: container.id,
    DetachKeys: Buffer.from(record.detachKeys).toString('base64'),
    Pid: session.pid,
  };
}
