/**
 * Finding elements with a clear failure instead of a null somewhere later; the template and the scripts change
 * together or not at all.
 */

/**
 * @template {Element} T
 * @param {ParentNode} within
 * @param {string} selector
 * @param {new () => T} kind
 * @returns {T}
 */
export function find(within, selector, kind) {
  const found = within.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`The page has no ${selector}`);
  return found;
}

/**
 * A copy of a <template>'s only element.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function cloneTemplate(id) {
  const template = find(document, `template#${id}`, HTMLTemplateElement);
  const copy = document.importNode(template.content, true);
  return find(copy, "*", HTMLElement);
}

/**
 * Sets text only where it differs, so that nothing is drawn or read aloud again for nothing.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Shows words in an element that hides when there are none.
 * @param {HTMLElement} element
 * @param {string} text
 */
export function showText(element, text) {
  setText(element, text);
  element.hidden = text === "";
}
