// What a person chose, kept in this browser. Where storage is forbidden, choices last as long as the page.

const memory = new Map();

/**
 * @template T
 * @param {string} name
 * @param {T} fallback
 * @returns {T}
 */
export function recall(name, fallback) {
  if (memory.has(name)) return memory.get(name);
  try {
    return JSON.parse(localStorage.getItem(`maskwatch.${name}`) ?? "null") ?? fallback;
  } catch {
    return fallback;
  }
}

export function keep(/** @type {string} */ name, /** @type {unknown} */ value) {
  memory.set(name, value);
  try {
    localStorage.setItem(`maskwatch.${name}`, JSON.stringify(value));
  } catch {
    // Forbidden or full: memory has it.
  }
}
