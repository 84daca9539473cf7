// Asks for the token that the API wants.

import { holdToken, heldToken } from './api.js';
import { byId } from './dom.js';
import { words } from './words.js';

const dialog = byId('token');
const input = dialog.querySelector('input');
let asking;

/** Resolves when a token was given; whoever asks meanwhile waits for the same. */
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
