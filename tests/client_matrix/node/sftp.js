// ssh2-sftp-client, told by words what to do. Login: TD_HOST TD_PORT TD_USER TD_PASSWORD TD_KEY.
'use strict';
const fs = require('fs');
const path = require('path');
const Client = require('ssh2-sftp-client');

const verbs = {
  put: (sftp, local, name) => sftp.put(local, name),
  many: async (sftp, folder) => {
    for (const name of fs.readdirSync(folder).sort()) await sftp.put(path.join(folder, name), name);
  },
  resume: async (sftp, local, name) => {
    const at = (await sftp.stat(name)).size;
    await sftp.append(fs.readFileSync(local).subarray(at), name);
  },
  read: (sftp, name, local) => sftp.get(name, local),
  names: async (sftp) => (await sftp.list('.')).forEach((entry) => console.log(entry.name)),
  delete: (sftp, name) => sftp.delete(name),
  rename: (sftp, before, after) => sftp.rename(before, after),
};

async function main([verb, ...words]) {
  const sftp = new Client();
  const env = process.env;
  await sftp.connect({
    host: env.TD_HOST,
    port: Number(env.TD_PORT),
    username: env.TD_USER,
    ...(env.TD_KEY ? { privateKey: fs.readFileSync(env.TD_KEY) } : { password: env.TD_PASSWORD }),
  });
  try {
    await verbs[verb](sftp, ...words);
  } finally {
    await sftp.end();
  }
}

main(process.argv.slice(2)).catch((problem) => {
  console.error(String(problem));
  process.exit(1);
});
