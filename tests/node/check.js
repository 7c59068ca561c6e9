'use strict';
// check('what', async () => {...}): runs in turn, prints TAP, exits 1 when one failed.
const waiting = [];

exports.check = (name, fn) => waiting.push([name, fn]);

exports.run = async () => {
  let failed = 0;
  console.log(`1..${waiting.length}`);
  for (const [i, [name, fn]] of waiting.entries()) {
    const limit = new Promise((_, no) => setTimeout(() => no(new Error('timed out')), 20000).unref());
    try {
      const begun = Date.now();
      await Promise.race([fn(), limit]);
      const took = (Date.now() - begun) / 1000;
      console.log(`ok ${i + 1} - ${name}${took > 2 ? ` (${took.toFixed(1)} s)` : ""}`);
    } catch (e) {
      failed++;
      console.log(`not ok ${i + 1} - ${name}`);
      console.log(String(e.stack || e).replace(/^/gm, '# '));
    }
  }
  process.exit(failed ? 1 : 0);
};
