// The dialog that asks for the API's access token.

import { holdToken, heldToken } from './api.js';
import { byId } from './dom.js';
import { words } from './words.js';

const dialog = byId('token');
const input = dialog.querySelector('input');
let asking;

/** Resolves when a token was given; concurrent callers wait for the same dialog. */
export function askForToken() {
  if (asking) return asking;
  dialog.querySelector('.refused').textContent = heldToken() ? words('tokenRefused') : '';
  input.value = '';
  asking = new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      if (input.value) holdToken(input.value.trim());
      input.value = '';
      asking = undefined;
      resolve();
    }, { once: true });
  });
  dialog.showModal();
  return asking;
}
