// Decoding as a chain of stages in one fixed order, and the report of what each of them did. Nothing behind a stage that waits or
// fails is run. It works on copies: what is relayed never passes a chain.

/** The stages, in the only order in which they can stand. Each of them may be left out. */
export const decoderStages = [
  'transfer_decode',
  'content_decode',
  'protocol_frame_parse',
  'envelope_parse',
  'payload_parse',
] as const;
/** See {@link decoderStages}. */
export type DecoderStage = (typeof decoderStages)[number];

/** What became of a stage: `pending` waits for more input, `blocked` stands behind one that waits or failed and was not run. */
export const stageStatuses = ['applied', 'pending', 'blocked', 'failed'] as const;
/** See {@link stageStatuses}. */
export type StageStatus = (typeof stageStatuses)[number];

/** What can be wrong with a chain: the first two with its list of stages, the others with a run. Codes are stable. */
export const decoderFailureCodes = [
  'stage_out_of_order',
  'duplicate_stage',
  'missing_stage_processor',
  'stage_failed',
] as const;
/** See {@link decoderFailureCodes}. */
export type DecoderFailureCode = (typeof decoderFailureCodes)[number];

/** What goes from stage to stage. */
export interface DecoderFrame {
  readonly bytes: Buffer;
  /** Nothing follows these bytes. */
  readonly isEnd: boolean;
  /** What the stages found out, by name. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** What a stage makes of a frame. */
export type StageResult =
  | { readonly status: 'applied'; readonly frame: DecoderFrame }
  | { readonly status: 'pending' }
  | { readonly status: 'failed'; readonly detail: string };

/** Does the work of a stage. It may answer later; what it throws counts as failed. */
export type StageProcessor = (frame: DecoderFrame) => StageResult | Promise<StageResult>;

/** Who does the work, by stage. */
export type StageProcessors = Readonly<Partial<Record<DecoderStage, StageProcessor>>>;

/** Why a stage failed. */
export interface StageFailure {
  readonly stage: DecoderStage;
  readonly code: DecoderFailureCode;
  /** In the words of the stage; empty where the code says it all. */
  readonly detail: string;
}

/** What one stage did. */
export interface StageReport {
  readonly stage: DecoderStage;
  readonly status: StageStatus;
  /** What it was given; 0 when it was not run. */
  readonly bytesIn: number;
  /** What it handed on; 0 unless it was applied. */
  readonly bytesOut: number;
  /** There exactly when the status is `failed`. */
  readonly failure?: StageFailure;
}

/** What came of a run. */
export interface ChainResult {
  /** As the last stage that was applied left it. */
  readonly frame: DecoderFrame;
  /** One for each stage of the chain, in their order. */
  readonly reports: readonly StageReport[];
  /** The first failure. A stage that waits is none. */
  readonly failure?: StageFailure;
}

/** A list of stages that no chain can have. */
export class DecoderChainError extends Error {
  override readonly name = 'DecoderChainError';
  readonly code: 'stage_out_of_order' | 'duplicate_stage';
  /** The first stage that is out of place. */
  readonly stage: DecoderStage;

  constructor(code: DecoderChainError['code'], stage: DecoderStage) {
    super(
      code === 'duplicate_stage'
        ? `the stage ${stage} is listed twice`
        : `the stage ${stage} is out of order: they stand as ${decoderStages.join(', ')}`,
    );
    this.code = code;
    this.stage = stage;
  }
}

/** One order of stages and who does their work. It has no state: it can be run any number of times, also side by side. */
export class DecoderChain {
  readonly stages: readonly DecoderStage[];
  readonly #processors: StageProcessors;

  /** @throws {DecoderChainError} for stages that are listed twice or out of order */
  constructor(stages: readonly DecoderStage[], processors: StageProcessors) {
    this.stages = checkedStages(stages);
    this.#processors = processors;
  }

  /** Takes a frame through the stages. Never throws or rejects: what goes wrong stands in the report. */
  async run(frame: DecoderFrame): Promise<ChainResult> {
    const reports: StageReport[] = [];
    let current = frame;
    let failure: StageFailure | undefined;
    let isBlocked = false;
    for (const stage of this.stages) {
      if (isBlocked) {
        reports.push({ stage, status: 'blocked', bytesIn: 0, bytesOut: 0 });
        continue;
      }
      const result = await this.#runStage(stage, current);
      const report = reportOf(stage, current, result);
      reports.push(report);
      failure = report.failure;
      isBlocked = result.status !== 'applied';
      if (result.status === 'applied') current = result.frame;
    }
    return failure === undefined ? { frame: current, reports } : { frame: current, reports, failure };
  }

  async #runStage(stage: DecoderStage, frame: DecoderFrame): Promise<StageOutcome> {
    const processor = this.#processors[stage];
    if (processor === undefined) return { status: 'failed', code: 'missing_stage_processor', detail: '' };
    try {
      return await processor(frame);
    } catch (error) {
      return { status: 'failed', detail: error instanceof Error ? error.message : String(error) };
    }
  }
}

type StageOutcome =
  | StageResult
  | { readonly status: 'failed'; readonly code: 'missing_stage_processor'; readonly detail: '' };

const framed = ['content_decode', 'protocol_frame_parse'] as const;

/** What bodies and streams go through, by frame kind; `http_body` is a body that is shown as a whole. */
export const builtInStages: ReadonlyMap<string, readonly DecoderStage[]> = new Map<
  string,
  readonly DecoderStage[]
>([
  ['http_body', ['content_decode', 'payload_parse']],
  ['sse_data', framed],
  ['ndjson_line', framed],
  ['json_value', framed],
  ['event_stream_message', framed],
  ['grpc_message', ['content_decode', 'envelope_parse', 'payload_parse']],
  ['websocket_text', ['protocol_frame_parse', 'payload_parse']],
  ['websocket_binary', ['protocol_frame_parse', 'payload_parse']],
  ['websocket_close', ['protocol_frame_parse']],
]);

/** Stages by the name of what they read. */
export class DecoderRegistry {
  readonly #stages: Map<string, readonly DecoderStage[]>;

  /** Starts with `stages`, the built-in ones unless given. @throws {DecoderChainError} as `register` */
  constructor(stages: Iterable<readonly [string, readonly DecoderStage[]]> = builtInStages) {
    this.#stages = new Map();
    for (const [protocol, list] of stages) this.register(protocol, list);
  }

  /** Sets the stages of a protocol, in place of earlier ones. @throws {DecoderChainError} as the chain does */
  register(protocol: string, stages: readonly DecoderStage[]): void {
    this.#stages.set(protocol, checkedStages(stages));
  }

  /** The stages of a protocol; `undefined` for one that is not known. */
  stagesOf(protocol: string): readonly DecoderStage[] | undefined {
    return this.#stages.get(protocol);
  }
}

function reportOf(stage: DecoderStage, frame: DecoderFrame, result: StageOutcome): StageReport {
  const bytesIn = frame.bytes.length;
  if (result.status === 'applied')
    return { stage, status: 'applied', bytesIn, bytesOut: result.frame.bytes.length };
  if (result.status === 'pending') return { stage, status: 'pending', bytesIn, bytesOut: 0 };
  const code = 'code' in result ? result.code : 'stage_failed';
  return { stage, status: 'failed', bytesIn, bytesOut: 0, failure: { stage, code, detail: result.detail } };
}

function checkedStages(stages: readonly DecoderStage[]): readonly DecoderStage[] {
  let last = -1;
  for (const [index, stage] of stages.entries()) {
    const place = decoderStages.indexOf(stage);
    if (stages.indexOf(stage) < index) throw new DecoderChainError('duplicate_stage', stage);
    if (place < last) throw new DecoderChainError('stage_out_of_order', stage);
    last = place;
  }
  return Object.freeze([...stages]);
}
