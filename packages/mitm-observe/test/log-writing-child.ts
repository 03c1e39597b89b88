// A process that writes a log without end, for the test that kills it. It says how many events it has given to the log.
import { EventBus } from '../src/event-bus.ts';
import { EventLog } from '../src/event-log.ts';
import { emitMany } from './log-fixture.ts';

const [path = '', flushEvery = '1'] = process.argv.slice(2);
const log = await EventLog.open({
  path,
  flushEvery: Number(flushEvery),
  rotateBytes: 200_000,
  chainKey: Buffer.alloc(32, 7),
});
const bus = new EventBus();
bus.subscribe(log);

function goOn(): void {
  emitMany(bus, 60);
  process.stdout.write(`${bus.lastSequenceId}\n`);
  setTimeout(goOn, 1);
}
goOn();
