// basic-ftp, told by words what to do. Login as in sftp.js; TD_CA asks for explicit TLS.
'use strict';
const fs = require('fs');
const { Client } = require('basic-ftp');

const verbs = {
  put: (ftp, local, name) => ftp.uploadFrom(local, name),
  many: (ftp, folder) => ftp.uploadFromDir(folder),
  resume: async (ftp, local, name) => {
    const at = await ftp.size(name);
    await ftp.appendFrom(local, name, { localStart: at });
  },
  read: (ftp, name, local) => ftp.downloadTo(local, name),
  names: async (ftp) => (await ftp.list()).forEach((entry) => console.log(entry.name)),
  delete: (ftp, name) => ftp.remove(name),
  rename: (ftp, before, after) => ftp.rename(before, after),
};

async function main([verb, ...words]) {
  const ftp = new Client();
  const env = process.env;
  try {
    await ftp.access({
      host: env.TD_HOST,
      port: Number(env.TD_PORT),
      user: env.TD_USER,
      password: env.TD_PASSWORD,
      secure: Boolean(env.TD_CA),
      ...(env.TD_CA && {
        secureOptions: {
          ca: fs.readFileSync(env.TD_CA),
          ...(env.TD_KEY && { cert: fs.readFileSync(env.TD_KEY), key: fs.readFileSync(env.TD_KEY) }),
        },
      }),
    });
    await verbs[verb](ftp, ...words);
  } finally {
    ftp.close();
  }
}

main(process.argv.slice(2)).catch((problem) => {
  console.error(String(problem));
  process.exit(1);
});
