// A browser for tests: Debian's chromium, driven by playwright-core, with a profile of its own that goes away with it.
//
// Every page is watched: what it asks of another host than the two of the test, a script that fails, a dialog, a console error (which is also how a broken Content-Security-Policy shows) ends up in
// `complaints`, and a test ends by looking that there are none. Pages speak Chinese unless a context says otherwise.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const WAIT_MS = 30_000;

/** origins: where pages may go. options: locale, javaScriptEnabled, … of playwright's contexts. */
export async function startBrowser(origins, options = {}) {
  const profile = mkdtempSync(path.join(tmpdir(), 'weir-browser-'));
  const context = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS, locale: 'zh-CN', timeout: 60_000, ...options });
  const complaints = [];
  context.setDefaultTimeout(WAIT_MS);
  context.on('request', (request) => { const { origin, protocol } = new URL(request.url()); if (!origins.includes(origin) && protocol.startsWith('http')) complaints.push(`asks ${request.url()}`); });
  context.on('page', (page) => {
    page.on('pageerror', (error) => complaints.push(`script: ${error.message}`));
    page.on('dialog', (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss().catch(() => {}); });
    /* "Failed to load resource" is what chromium says of every 4xx: the tests that provoke those look at the page instead */
    page.on('console', (message) => { if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(`console: ${message.text()}`); });
  });
  return {
    context, complaints,
    page: () => context.newPage(),
    /** Nothing was complained about since the last time. */
    quiet: () => assert.deepEqual(complaints.splice(0), []),
    stop: async () => { await context.close(); rmSync(profile, { recursive: true, force: true, maxRetries: 5 }); },
  };
}
