// A real OpenID Connect provider (npm oidc-provider): oidc.js PORT REDIRECT-URI KEY-NAME TTL
// Everybody who comes is logged in as "anna" at once, by a page that posts a form. KEY-NAME: another name,
// another signing key. TTL: seconds that access tokens live. Prints the port when it is ready; SIGTERM ends it.
const crypto = require('node:crypto');
const http = require('node:http');

process.env.NODE_NO_WARNINGS = '1';
const [port, redirect, keyName, ttl] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

function signingKey(name) {
  const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: name };
}

async function start() {
  const { default: Provider } = await import('oidc-provider');
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'shop',
      client_secret: 'a-secret-of-the-shop-at-its-issuer',
      redirect_uris: [redirect],
      post_logout_redirect_uris: [new URL('/', redirect).href],
      grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
      response_types: ['code'],
    }],
    jwks: { keys: [signingKey(keyName)] },
    cookies: { keys: ['test'] },
    conformIdTokenClaims: false,
    claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'api'],
    pkce: { required: () => true, methods: ['S256'] },
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    ttl: { AccessToken: Number(ttl), IdToken: 600, RefreshToken: 600, Session: 600, Grant: 600, Interaction: 600 },
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      clientCredentials: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: async (ctx, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, email: `${id}@shop.example`, name: 'Anna Beispiel' }),
    }),
    renderError: async (ctx, out) => { ctx.body = `error: ${out.error} ${out.error_description}`; },
  });
  // POST /test/busy: from then on its token endpoint answers 429, until /test/idle. The answer: how often it did.
  let busy = false;
  let refused = 0;
  provider.use(async (ctx, next) => {
    if (ctx.path.startsWith('/test/')) {
      busy = ctx.path === '/test/busy';
      ctx.body = { refused };
    } else if (busy && ctx.path === '/token') {
      refused += 1;
      ctx.status = 429;
      ctx.body = { error: 'slow_down' };
    } else await next();
  });
  // The gateway asks for offline_access without consent prompts: this issuer grants what is asked for.
  provider.use(async (ctx, next) => {
    const found = /^\/interaction\/([^/]+)(\/confirm)?$/.exec(ctx.path);
    if (!found) return next();
    const { uid, prompt, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
    if (!found[2]) {
      ctx.type = 'html';
      ctx.body = `<form method="post" action="/interaction/${uid}/confirm"><button>go</button></form>`
        + '<script>document.forms[0].submit()</script>';
      return undefined;
    }
    let result = { login: { accountId: 'anna' } };
    if (prompt.name === 'consent') {
      const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
      grant.addOIDCScope(params.scope);
      result = { consent: { grantId: await grant.save() } };
    }
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
    ctx.respond = false;
    return undefined;
  });
  http.createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log(port));
}

start();
