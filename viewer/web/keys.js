/** The viewer's own key: P-256, made once in this browser, never extractable from it. */

const P256 = { name: "ECDSA", namedCurve: "P-256" };
const DATABASE = "camward";
const STORE = "keys";
const NAME = "viewer";

let known; // one promise a page, so that two viewers share the key even where nothing can be stored

/** Give {privateKey, jwk}: the stored key, or a new one that is stored. */
export function viewerKey() {
  known ??= load().catch(() => make()); // a browser that stores nothing gets a key for as long as the page lives
  return known;
}

async function load() {
  const database = await opened();
  try {
    const stored = await request(database.transaction(STORE).objectStore(STORE).get(NAME));
    if (stored) return stored;
    const made = await make();
    try {
      await request(database.transaction(STORE, "readwrite").objectStore(STORE).add(made, NAME));
      return made;
    } catch {
      return await request(database.transaction(STORE).objectStore(STORE).get(NAME)); // another tab was faster
    }
  } finally {
    database.close();
  }
}

async function make() {
  const pair = await crypto.subtle.generateKey(P256, false, ["sign"]);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  return { privateKey: pair.privateKey, jwk: { kty, crv, x, y } };
}

function opened() {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  return request(opening);
}

function request(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
