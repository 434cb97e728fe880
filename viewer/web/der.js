/** As much of a certificate as people are shown: whom it names and until when (RFC 5280, section 4.1). Decides nothing. */

const SEQUENCE = 0x30;
const VERSION = 0xa0;
const UTC_TIME = 0x17;

/** Give {subject, notAfter: Date} of a DER certificate. RangeError for anything else. */
export function certificate(der) {
  const [signed] = children(read(der, 0));
  const fields = children(signed).filter((field) => field.tag !== VERSION);
  const [, , , validity, subject] = fields; // after serial number, algorithm, issuer
  return { subject: name(subject), notAfter: time(children(validity)[1]) };
}

function read(bytes, at) {
  const tag = bytes[at];
  let length = bytes[at + 1];
  let start = at + 2;
  if (length > 0x80) {
    const size = length & 0x7f;
    length = bytes.subarray(start, start + size).reduce((sum, byte) => sum * 256 + byte, 0);
    start += size;
  }
  if (!(start + length <= bytes.length)) throw new RangeError("a DER value is longer than its frame");
  return { tag, content: bytes.subarray(start, start + length), end: start + length };
}

function children({ tag, content }) {
  if (!(tag & 0x20)) throw new RangeError("not a constructed DER value");
  const found = [];
  for (let at = 0; at < content.length; at = found.at(-1).end) found.push(read(content, at));
  return found;
}

function name(subject) {
  if (subject?.tag !== SEQUENCE) throw new RangeError("a certificate has a subject");
  const values = children(subject).flatMap((set) => children(set)).map((pair) => children(pair)[1]);
  return values.map(({ content }) => new TextDecoder().decode(content)).join(", ");
}

function time({ tag, content }) {
  const text = new TextDecoder().decode(content); // YYMMDDHHMMSSZ, or with four digits of the year
  const digits = tag === UTC_TIME ? (text < "5" ? "20" : "19") + text : text;
  const [, year, ...rest] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits) ?? [];
  if (!year) throw new RangeError("not a time of a certificate");
  const [month, day, hour, minute, second] = rest.map(Number);
  return new Date(Date.UTC(Number(year), month - 1, day, hour, minute, second));
}
