/**
 * mule-uploader's page API over Muleteer's own kit: a page that was written for the old script, of either generation,
 * changes the address in its script tag and nothing else.
 *
 * Apart from the kit, because this is a classic script as its pages expect one: it is there as soon as its tag has
 * been read, and leaves one global, `mule_upload`. The kit itself is fetched from beside it.
 */
(() => {
  /**
   * @typedef {import("./sdk/index.js").Upload} Upload
   * @typedef {typeof import("./sdk/index.js")} Kit
   * @typedef {ReturnType<Kit["native"]>} Protocol
   *
   * @typedef {object} Settings  what a page sets; the old script's names. `host`, `bucket`, `region`, `access_key` and
   *   `acl` are the server's business now and are ignored
   * @property {HTMLInputElement | null} [file_input]  is listened to
   * @property {File} [file]  to be sent where there is no input
   * @property {boolean} [autostart]  false leaves it to the page to call `upload_file`
   * @property {string} [key]  becomes the object's key, which is the server's choice, before `on_complete`
   * @property {string} [content_type]  the file's own type when absent
   * @property {number} [chunk_size]  bytes; becomes what the server has agreed to before `on_start`
   * @property {number} [num_workers]  parts at once, 1 to 16
   * @property {number} [max_size]  bytes; the server has a limit of its own
   * @property {string} [ajax_base]  matters only where it is the native API's address, ending in `/v1`
   * @property {Record<string, unknown>} [extra_params]  `api_key` says who is asking; all else is ignored
   * @property {string} [api]  the native API's address; ours, and not the old script's, as the next one
   * @property {Record<string, string>} [metadata]  kept with the object
   * @property {Callback} [on_init]  nothing
   * @property {Callback} [on_select]  the file
   * @property {Callback} [on_start]  the file
   * @property {Callback} [on_progress]  bytes sent, bytes of the file
   * @property {Callback} [on_chunk_progress]  chunk from 0, bytes of it sent, bytes of it
   * @property {Callback} [on_chunk_uploaded]  chunk from 0
   * @property {Callback} [on_complete]  the file, which the old script did not tell
   * @property {Callback} [on_error]  an `UploadError`; the old script never called it
   *
   * @typedef {(this: MuleUploader, ...news: any[]) => void} Callback
   * @typedef {"on_init" | "on_select" | "on_start" | "on_progress" | "on_chunk_progress" | "on_chunk_uploaded"
   *   | "on_complete" | "on_error"} CallbackName
   * @typedef {"waiting" | "processing" | "finishing" | "finished" | "canceled" | "failed"} State
   *
   * @typedef {object} Life  one file on its way
   * @property {File} file
   * @property {boolean} force  begins anew, whatever is there
   * @property {Upload | null} upload  null until the kit is there
   * @property {boolean} isStarted  whether `on_start` has been called
   * @property {number} toldAt  when progress was told last, on the page's steady clock
   */

  const tag = document.currentScript;
  const source = tag instanceof HTMLScriptElement ? tag.src : "";
  const ofTag = tag instanceof HTMLScriptElement ? tag.dataset : {};

  /** @type {CallbackName[]} */
  const CALLBACKS = [
    "on_init", "on_select", "on_start", "on_progress", "on_chunk_progress", "on_chunk_uploaded", "on_complete",
    "on_error",
  ];
  /** Pages draw in `on_progress`, some of them a new line each time; the kit speaks a hundred times a second. */
  const BREATH = 100;

  /** @type {Promise<Kit> | undefined} */
  let kit;

  /** @returns {Promise<Kit>} */
  function loadKit() {
    if (!source) throw new Error("mule-uploader.js must be loaded by its own address: <script src=…>");
    kit ??= import(new URL("sdk/index.js", source).href).catch((error) => {
      kit = undefined; // the next file tries again
      throw error;
    });
    return kit;
  }

  /**
   * Where the native API is: as the page says, as the script's tag says (`data-api`), else beside this script.
   * @param {Settings} settings
   */
  function apiOf({ api, ajax_base = "" }) {
    if (api) return api;
    if (ofTag.api) return ofTag.api;
    return /\/v\d+\/?$/.test(ajax_base) ? ajax_base : new URL("../api/v1", source).href;
  }

  /**
   * The API key of a page of another site: as the old script sent it, or from the tag (`data-api-key`).
   * @param {Settings} settings
   */
  function keyOf({ extra_params }) {
    const key = extra_params?.api_key ?? ofTag.apiKey;
    return key === undefined ? null : String(key);
  }

  /** What `mule_upload` returns, and `this` in every callback. */
  class MuleUploader {
    /** @type {Life | null} */
    #life = null;
    /** @type {State} */
    #state = "waiting";
    #chunkSize;

    /** @param {Settings} settings */
    constructor(settings) {
      /** The page's own object, changed in place as the old script did. */
      this.settings = settings;
      this.input = settings.file_input ?? null;
      /** @type {File | null} the one that was chosen last */
      this.file = null;
      /** @type {import("./sdk/types.js").Result | null} the finished object; new */
      this.result = null;
      this.#chunkSize = settings.chunk_size;
      settings.autostart ??= true;
      for (const name of CALLBACKS) settings[name] ??= () => {};
      // Fetched before a file is chosen, so that a click is answered at once. A failure is told when it matters.
      if (source) loadKit().catch(() => {});
      this.input?.addEventListener("change", () => this.#chosen(this.input?.files?.[0]));
      this.#call("on_init");
      if (settings.file) {
        const given = settings.file;
        // Pages that give a file also call `upload_file` with it, in the same breath.
        queueMicrotask(() => this.file === null && this.#chosen(given));
      }
    }

    /**
     * Sends a file, and first stops the one that is on its way. What the store has of it is not sent again.
     * @param {File} file
     * @param {boolean} [force]  begins anew, whatever is there
     * @returns {this}
     */
    upload_file(file, force = false) {
      if (this.#life?.file === file && this.#isBusy) return this;
      this.#stop();
      /** @type {Life} */
      const life = { file, force, upload: null, isStarted: false, toldAt: -Infinity };
      this.#life = life;
      this.file = file;
      this.result = null;
      this.#state = "processing";
      this.#call("on_select", file);
      this.#send(life).catch((error) => this.#fail(life, error));
      return this;
    }

    /** Stops, here alone: chosen again, the file goes on where it was. */
    cancel() {
      this.#stop();
      this.#state = "canceled";
    }

    /** Bytes that are stored or on their way. */
    get_total_progress() {
      const { acknowledged = 0, inFlight = 0 } = this.#life?.upload?.progress ?? {};
      return acknowledged + inFlight;
    }

    /** @returns {State} */
    get_state() {
      return this.#state;
    }

    get #isBusy() {
      return this.#state === "processing" || this.#state === "finishing";
    }

    /** @param {File | undefined} file */
    #chosen(file) {
      if (!file) return;
      this.file = file;
      if (this.settings.autostart) this.upload_file(file);
    }

    #stop() {
      this.#life?.upload?.pause();
      this.#life = null;
    }

    /** @param {Life} life */
    async #send(life) {
      const { file } = life;
      const { settings } = this;
      const { Upload, UploadError, native } = await loadKit();
      // Meanwhile the page may have cancelled, or sent another file.
      if (life !== this.#life) return;
      if (settings.max_size && file.size > settings.max_size) {
        throw new UploadError("too-large", `The file has ${file.size} bytes; ${settings.max_size} are allowed.`);
      }
      const upload = new Upload(file, {
        protocol: this.#watched(native({ url: apiOf(settings), apiKey: () => keyOf(settings) }), life),
        workers: settings.num_workers,
        contentType: settings.content_type || undefined,
        partSize: this.#chunkSize,
        metadata: settings.metadata,
        resume: !life.force,
        // The old script tries for ever, and its pages offer no button to go on.
        policy: { patience: Infinity },
      });
      life.upload = upload;
      this.#listen(life, upload);
      const result = await upload.start().finished();
      if (life !== this.#life) return;
      this.result = result;
      settings.key = result.key ?? settings.key;
      this.#state = "finished";
      this.#call("on_progress", file.size, file.size);
      this.#call("on_complete", file);
    }

    /**
     * @param {Life} life
     * @param {Upload} upload
     */
    #listen(life, upload) {
      const { file } = life;
      const isPast = () => life !== this.#life;
      upload.on("session", ({ slices }) => {
        if (isPast()) return;
        this.settings.chunk_size = slices.partSize;
        if (life.isStarted) return;
        life.isStarted = true;
        this.#call("on_start", file);
        this.#call("on_progress", 0, file.size);
      });
      upload.on("state", (state) => {
        if (!isPast()) this.#state = state === "completing" ? "finishing" : "processing";
      });
      upload.on("progress", () => {
        const now = performance.now();
        if (isPast() || !life.isStarted || now - life.toldAt < BREATH) return;
        life.toldAt = now;
        this.#call("on_progress", this.get_total_progress(), file.size);
      });
    }

    /**
     * The same protocol, whose parts are told of one by one.
     * @param {Protocol} protocol
     * @param {Life} life
     * @returns {Protocol}
     */
    #watched(protocol, life) {
      return {
        ...protocol,
        send: async (session, number, body, run) => {
          const chunk = number - 1;
          await protocol.send(session, number, body, {
            ...run,
            onSent: (bytes) => {
              run.onSent(bytes);
              if (life === this.#life) this.#call("on_chunk_progress", chunk, bytes, body.size);
            },
          });
          if (life === this.#life) this.#call("on_chunk_uploaded", chunk);
        },
      };
    }

    /**
     * @param {Life} life
     * @param {unknown} error
     */
    #fail(life, error) {
      if (life !== this.#life) return;
      this.#state = "failed";
      console.error("mule-uploader:", error);
      this.#call("on_error", error);
    }

    /**
     * A page's own mistake is reported and stops nothing.
     * @param {CallbackName} name
     * @param {...unknown} news
     */
    #call(name, ...news) {
      try {
        this.settings[name]?.call(this, ...news);
      } catch (error) {
        console.error(error);
      }
    }
  }

  /**
   * `mule_upload(settings)`; the very first pages give the input before the settings.
   * @param {Settings | HTMLInputElement} first
   * @param {Settings} [second]
   */
  function mule_upload(first, second) {
    const isInput = first instanceof HTMLInputElement;
    return new MuleUploader(isInput ? Object.assign(second ?? {}, { file_input: first }) : first);
  }
  Object.assign(globalThis, { mule_upload });
})();
