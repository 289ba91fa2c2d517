/**
 * The demo of the drop-in: nothing here but what an old page has.
 */
(() => {
  const { mule_upload } = /** @type {any} */ (globalThis);
  const bar = /** @type {HTMLProgressElement} */ (document.getElementById("progress"));
  const state = /** @type {HTMLElement} */ (document.getElementById("state"));
  const log = /** @type {HTMLElement} */ (document.getElementById("log"));

  /** @param {string} text */
  function note(text) {
    const line = document.createElement("li");
    line.textContent = text;
    log.append(line);
    line.scrollIntoView({ block: "nearest" });
  }

  mule_upload({
    file_input: document.getElementById("file"),
    on_init: () => note("on_init"),
    on_select: (/** @type {File} */ file) => note(`on_select: ${file.name}`),
    on_start: (/** @type {File} */ file) => note(`on_start: ${file.name}`),
    on_progress(/** @type {number} */ sent, /** @type {number} */ total) {
      bar.value = total ? sent / total : 1;
      state.textContent = `${sent.toLocaleString()} of ${total.toLocaleString()} bytes`;
    },
    on_chunk_uploaded: (/** @type {number} */ chunk) => note(`on_chunk_uploaded: ${chunk}`),
    on_complete() {
      state.textContent = "Done.";
      note(`on_complete: ${this.settings.key}`);
    },
    on_error: (/** @type {Error} */ error) => note(`on_error: ${error.message}`),
  });
})();
