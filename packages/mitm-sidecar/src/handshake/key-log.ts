// Writes the secrets of TLS connections to a file, for tools that decrypt captured traffic. Nothing is collected unless
// somebody asked for the file, and nobody else may read it.
import { createWriteStream, type WriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { TLSSocket } from 'node:tls';

/** A file in the format of `SSLKEYLOGFILE`, shared by all connections of one proxy. */
export class KeyLog {
  readonly #stream: WriteStream;

  private constructor(stream: WriteStream) {
    this.#stream = stream;
  }

  /**
   * Opens a file to append to, mode 0600 whatever it was.
   *
   * @param onError told when it can't be written; nothing more is written then
   * @throws the system's error when it can't be opened
   */
  static async open(path: string, onError: (error: Error) => void): Promise<KeyLog> {
    const file: FileHandle = await open(path, 'a', 0o600);
    try {
      await file.chmod(0o600);
    } catch (error) {
      await file.close();
      throw error;
    }
    const stream = createWriteStream(path, { fd: file });
    stream.on('error', onError);
    return new KeyLog(stream);
  }

  /** Writes the secrets of a connection whose handshake has not begun. */
  watch(socket: TLSSocket): void {
    socket.on('keylog', (line: Buffer) => {
      if (this.#stream.writable) this.#stream.write(line);
    });
  }

  /** Writes what is left, and closes the file. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stream.closed || this.#stream.destroyed) resolve();
      else {
        this.#stream.once('close', () => resolve());
        this.#stream.end();
      }
    });
  }
}
