// What ServiceNow gives a script, as far as the business rule of the guide uses it; calls are kept instead of sent.
const crypto = require('crypto');
const secret = process.argv[process.argv.length - 1];
const calls = [];
const Class = { create: () => function () { this.initialize.apply(this, arguments); } };
const gs = {
  getProperty: (name) => (name === 'pointsman.secret' ? secret : 'https://pointsman.example.com/hooks/servicenow'),
  getUserName: () => 'bo',
};
const GlideStringUtil = { base64Encode: (text) => Buffer.from(text).toString('base64') };
class GlideCertificateEncryption {
  generateMac(key, algorithm, data) {
    if (algorithm !== 'HmacSHA256') throw new Error(algorithm);
    return crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(data).digest('base64');
  }
}
class GlideDateTime { getNumericValue() { return Date.UTC(2026, 10, 20, 9, 0, 0); } }
const sn_ws = {
  RESTMessageV2: class {
    constructor() { this.headers = {}; }
    setEndpoint(url) { this.url = url; }
    setHttpMethod(method) { this.method = method; }
    setRequestHeader(name, value) { this.headers[name.toLowerCase()] = value; }
    setRequestBody(body) { this.body = body; }
    executeAsync() { calls.push({ headers: this.headers, body: this.body }); }
  },
};
function field(value, changes) { return { changes: () => changes, toString: () => value }; }
function incident(changed) {
  const values = { state: changed === 'state' ? '6' : '2', sys_id: 'e'.repeat(32), sys_updated_on: '2026-11-20 08:59:59' };
  const names = ['state', 'assignment_group', 'assigned_to', 'comments', 'work_notes', 'sys_id', 'sys_updated_on'];
  const record = { sys_mod_count: field('3', false) };
  for (const name of names) record[name] = field(values[name] || '', name === changed);
  return record;
}
function printCalls() {
  const hook = new PointsmanHook();
  hook.send(incident(), 'insert');
  for (const changed of ['assignment_group', 'state', 'comments', 'urgency']) hook.send(incident(changed), 'update');
  hook.send(incident(), 'delete');
  console.log(JSON.stringify(calls));
}
