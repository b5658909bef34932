// The round that this window is on: what is typed stays, whatever the network does, until the gateway has it.

import { api, ApiError, type Book, type ReadReport } from './api';
import { typedOf } from './dial';
import { ms } from './format';
import { isEnergy, type Medium } from './medium';
import { live } from './live.svelte';
import { recall, remember, session } from './memory';
import { small } from './photo';

/** What somebody read and typed, and has not been taken yet. */
export interface Draft {
  /** In m³ or kWh, as typed. */
  text: string;
  note: string;
  /** When it was typed, by the gateway's clock: a cellar has no network, and it is sent later. */
  at: number;
  /** It was on its way without an answer: the gateway may have it. */
  tried: boolean;
}
export type Result = { state: 'waiting' | 'sending' } | { state: 'sent'; report: ReadReport | null } | { state: 'failed'; error: unknown };
/** What became of a picture. It is kept in this window only, until the gateway has it. */
export interface Picture {
  /** The file that was chosen: tells two apart. */
  of: File;
  /** Null while it is made small. */
  body: Blob | null;
  /** Number of the entry that it belongs to, once its reading is taken. */
  entry: number | null;
  state: 'making' | 'kept' | 'sending' | 'sent' | 'failed';
}

class Round {
  book = $state.raw<Book | null>(null);
  error = $state.raw<unknown>(null);
  drafts = $state.raw<Record<string, Draft>>(this.#remembered());
  results = $state.raw<Record<string, Result>>({});
  pictures = $state.raw<Record<string, Picture>>({});
  #queue: string[] = [];
  #sending = false;

  async load(): Promise<void> {
    try {
      this.book = await api.rounds();
      this.error = null;
    } catch (e) {
      this.error = e;
    }
  }

  write(key: string, change: Partial<Pick<Draft, 'text' | 'note'>>): void {
    const old = this.drafts[key];
    // Whole seconds: a stamp that people can compare.
    const at = change.text === undefined && old !== undefined ? old.at : Math.floor(live.now / 1000) * 1000;
    // A picture of an earlier reading is none of this one.
    if ((this.pictures[key]?.entry ?? null) !== null) void this.depict(key, null);
    this.#put(key, { text: '', note: '', ...old, ...change, at, tried: change.text === undefined ? (old?.tried ?? false) : false });
    this.#result(key, null);
  }

  /** Puts a picture to what is typed, or takes it away. False where the file is none. */
  async depict(key: string, file: File | null): Promise<boolean> {
    const { [key]: _, ...rest } = this.pictures;
    this.pictures = rest;
    if (file === null) return true;
    // It may take a while, and the reading may be taken meanwhile: then it is sent with the entry that it belongs to.
    this.#picture(key, { of: file, body: null, entry: null, state: 'making' });
    const body = await small(file);
    const now = this.pictures[key];
    if (now?.of !== file) return true;
    if (body === null) {
      const { [key]: gone, ...others } = this.pictures;
      this.pictures = others;
      return gone === undefined;
    }
    this.#picture(key, { ...now, body, state: 'kept' });
    if (now.entry !== null) await this.sendPicture(key);
    return true;
  }

  /** Sends the picture of a reading that was taken. */
  async sendPicture(key: string): Promise<void> {
    const picture = this.pictures[key];
    if (picture === undefined || picture.body === null || picture.entry === null || picture.state === 'sending' || picture.state === 'sent') return;
    // Another one may have been taken meanwhile, of a later reading.
    const put = (state: Picture['state']): void => {
      if (this.pictures[key]?.of === picture.of) this.#picture(key, { ...picture, state });
    };
    put('sending');
    try {
      await api.keepPhoto(picture.entry, picture.body);
      put('sent');
    } catch {
      put('failed');
    }
  }

  #picture(key: string, picture: Picture): void {
    this.pictures = { ...this.pictures, [key]: picture };
  }

  /** Those that can be sent, in the order of the book. */
  get ready(): string[] {
    const typed = (this.book?.meters ?? []).filter((m) => typedOf(m.medium, this.drafts[m.key]?.text ?? '') !== null);
    return typed.map((m) => m.key).filter((key) => !this.#busy(key));
  }

  /** Sends one after the other. */
  send(by: string, keys: string[]): void {
    for (const key of keys) {
      if (this.#busy(key)) continue;
      this.#queue.push(key);
      this.#result(key, { state: 'waiting' });
    }
    if (!this.#sending) void this.#work(by);
  }

  async #work(by: string): Promise<void> {
    this.#sending = true;
    for (let key = this.#queue.shift(); key !== undefined; key = this.#queue.shift()) await this.#one(by, key);
    this.#sending = false;
    await this.load();
  }

  async #one(by: string, key: string): Promise<void> {
    const draft = this.drafts[key];
    const medium: Medium = this.book?.meters.find((m) => m.key === key)?.medium ?? 'water';
    const written = typedOf(medium, draft?.text ?? '');
    if (draft === undefined || written === null) return this.#result(key, null);
    this.#result(key, { state: 'sending' });
    try {
      const report = await api.handIn(key, by, isEnergy(medium) ? { register_kilowatt_hours: written } : { register_litres: written }, draft.at, draft.note.trim());
      this.#taken(key, report, report.entry);
    } catch (error) {
      const code = error instanceof ApiError ? error.problem?.code : undefined;
      const arrived = code === 'read_before' && draft.tried ? await this.#arrived(key, draft.at) : null;
      if (arrived !== null) return this.#taken(key, null, arrived);
      const unanswered = error instanceof ApiError && (error.status === 0 || error.status === 504);
      if (unanswered) this.#put(key, { ...draft, tried: true });
      this.#result(key, { state: 'failed', error });
    }
  }

  /** The ledger's hand reading of that moment, if it has one: an earlier try of ours arrived, only its answer was lost. */
  async #arrived(key: string, at: number): Promise<number | null> {
    try {
      return (await api.ledger(key)).entries.find((e) => e.deed === 'read' && e.time !== null && ms(e.time) === at)?.entry ?? null;
    } catch {
      return null;
    }
  }

  #taken(key: string, report: ReadReport | null, entry: number): void {
    const picture = this.pictures[key];
    if (picture !== undefined && picture.entry === null) {
      this.#picture(key, { ...picture, entry });
      void this.sendPicture(key);
    }
    const { [key]: _, ...rest } = this.drafts;
    this.drafts = rest;
    this.#remember();
    this.#result(key, { state: 'sent', report });
  }

  #busy(key: string): boolean {
    const state = this.results[key]?.state;
    return state === 'waiting' || state === 'sending';
  }

  #result(key: string, result: Result | null): void {
    const { [key]: _, ...rest } = this.results;
    this.results = result === null ? rest : { ...rest, [key]: result };
  }

  #put(key: string, draft: Draft): void {
    this.drafts = { ...this.drafts, [key]: draft };
    this.#remember();
  }

  #remember(): void {
    remember('round', JSON.stringify(this.drafts), session);
  }

  #remembered(): Record<string, Draft> {
    try {
      return JSON.parse(recall('round', session) ?? '{}') as Record<string, Draft>;
    } catch {
      return {};
    }
  }
}

export const round = new Round();
