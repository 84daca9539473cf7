// Hatched backgrounds for stocks without a fresh price.

/**
 * Creates a pattern of stripes in two colours, for a canvas with `density` pixels per CSS pixel.
 */
export function hatch([ground, stripe], density) {
  const size = Math.round(6 * density);
  const small = document.createElement('canvas');
  small.width = size;
  small.height = size;
  const ink = small.getContext('2d');
  ink.fillStyle = ground;
  ink.fillRect(0, 0, size, size);
  ink.strokeStyle = stripe;
  ink.lineWidth = size / 4;
  for (const shift of [-size, 0, size]) {
    ink.beginPath();
    ink.moveTo(shift - 1, size + 1);
    ink.lineTo(shift + size + 1, -1);
    ink.stroke();
  }
  return ink.createPattern(small, 'repeat');
}
