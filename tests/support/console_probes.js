// Looks at the console from inside the page; the browser tests call these as `probes.…`.

window.probes = {
  /** A readable copy of what a canvas shows: reading the canvas itself would slow it, and the browser says so. */
  copy(canvas) {
    const context = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    return (x, y) => [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
  },

  /** For so many frames as they come: each box, and the colour of the forehead that should be in it. */
  async frames(wanted) {
    const frames = {};
    while (Object.keys(frames).length < wanted) {
      await new Promise(requestAnimationFrame);
      const canvas = document.querySelector("canvas[data-frame]");
      if (canvas === null || canvas.dataset.frame in frames) continue;
      const pixel = probes.copy(canvas);
      frames[canvas.dataset.frame] = JSON.parse(canvas.dataset.objects).map(({ label, box }) => {
        const [x1, y1, x2, y2] = box;
        return { label, box, forehead: pixel(((x1 + x2) / 2) * canvas.width, (y1 + 0.25 * (y2 - y1)) * canvas.height) };
      });
    }
    return frames;
  },

  /** The left line of every box: how thick it is in CSS pixels, and which share of its length is painted. */
  lines() {
    const names = { with_mask: "--with-mask", without_mask: "--without-mask", mask_weared_incorrect: "--incorrect" };
    const tokens = getComputedStyle(document.documentElement);
    const canvas = document.querySelector("canvas[data-frame]");
    const pixel = probes.copy(canvas);
    return JSON.parse(canvas.dataset.objects).map(({ label, box: [x1, y1, , y2] }) => {
      const hex = tokens.getPropertyValue(names[label]).trim();
      const colour = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
      const painted = (x, y) => colour.every((value, channel) => Math.abs(value - pixel(x, y)[channel]) < 40);
      const left = Math.round(x1 * canvas.width);
      const steps = Array.from({ length: 8 * devicePixelRatio + 4 }, (_, step) => left + 2 - step);
      const heights = Array.from({ length: 40 }, (_, row) =>
        Math.round((y1 + (0.2 + row / 66) * (y2 - y1)) * canvas.height),
      );
      const widths = heights.map((y) => steps.filter((x) => painted(x, y)).length / devicePixelRatio);
      const share = widths.filter((width) => width > 0).length / heights.length;
      return { label, width: Math.max(...widths), share };
    });
  },

  /** Numbers in 0..1 that are the same in every run. */
  random(state) {
    return () => (state = (state * 48271) % 2147483647) / 2147483647;
  },

  /** Place chips in many random crowds and count what went wrong. */
  async crowds(scenes) {
    const { placeChips } = await import("/console/boxes.js");
    const random = probes.random(7);
    const end = ({ x, y, width, height }) => ({ right: x + width, bottom: y + height });
    const apart = (a, b) => end(a).right <= b.x || end(b).right <= a.x || end(a).bottom <= b.y || end(b).bottom <= a.y;
    const counts = { placed: 0, shortened: 0, covering: 0, outside: 0, alone: 0, missing: 0 };
    for (let scene = 0; scene < scenes; scene += 1) {
      const picture = { width: 200 + 1000 * random(), height: 150 + 600 * random() };
      const faces = Array.from({ length: 1 + Math.floor(random() * 24) }, () => {
        const width = 10 + 120 * random();
        return { x: random() * picture.width - 10, y: random() * picture.height - 10, width, height: width * 1.3 };
      });
      const sizes = faces.map(() => [
        { width: 90, height: 20 },
        { width: 20, height: 20 },
      ]);
      const chips = placeChips(faces, sizes, picture).filter((chip) => chip !== null);
      counts.placed += chips.length;
      counts.shortened += chips.filter(({ chip }) => chip === 1).length;
      if (faces.length === 1) {
        counts.alone += 1;
        counts.missing += 1 - chips.length;
      }
      for (const [index, chip] of chips.entries()) {
        const { right, bottom } = end(chip);
        if (chip.x < 0 || chip.y < 0 || right > picture.width || bottom > picture.height) counts.outside += 1;
        const others = [...faces, ...chips.filter((_, other) => other !== index)];
        if (!others.every((other) => apart(chip, other))) counts.covering += 1;
      }
    }
    return counts;
  },

  /** Where the chip of a lone face at x, y stands. */
  async chip(x, y) {
    const { placeChips } = await import("/console/boxes.js");
    const face = { x, y, width: 40, height: 50 };
    const [spot] = placeChips([face], [[{ width: 90, height: 20 }]], { width: 400, height: 300 }, { gap: 2 });
    return [spot.x, spot.y];
  },

  /** Lay out many random walls; return those too wide, those that scroll needlessly, and those with room for pictures 2 % larger. */
  async walls(rounds) {
    const { layoutWall } = await import("/console/layout.js");
    const random = probes.random(11);
    const caption = (width) => (width >= 500 ? 36 : 56);
    const wrong = [];
    for (let round = 0; round < rounds; round += 1) {
      const [width, height] = [300 + 2500 * random(), 300 + 1300 * random()];
      const [count, aspect, gap, minimum] = [1 + Math.floor(random() * 30), 0.6 + 1.8 * random(), 12, 100];
      const wall = layoutWall({ width, height, count, aspect, gap, minimum, caption });
      const across = (columns, size) => columns * size + (columns - 1) * gap;
      const down = (columns, size) => {
        const rows = Math.ceil(count / columns);
        return rows * (size / aspect + caption(size)) + (rows - 1) * gap;
      };
      const holds = (columns, size, slack) =>
        across(columns, size) <= width + slack && down(columns, size) <= height + slack;
      const anyHolds = (size) => Array.from({ length: count }, (_, index) => holds(index + 1, size, 0)).some(Boolean);
      const scrolls = down(wall.columns, wall.width) > height + 0.5;
      const right = scrolls ? !anyHolds(minimum) && wall.width >= minimum - 1 : !anyHolds(wall.width * 1.02 + 1);
      if (!right || across(wall.columns, wall.width) > width + 0.5)
        wrong.push({ space: { width, height, count, aspect }, wall });
    }
    return wrong;
  },

  /** Count bitmaps that were made and not closed, from now on. */
  countBitmaps() {
    probes.bitmaps = 0;
    const create = window.createImageBitmap;
    window.createImageBitmap = async (...all) => {
      const bitmap = await create(...all);
      probes.bitmaps += 1;
      return bitmap;
    };
    const close = ImageBitmap.prototype.close;
    ImageBitmap.prototype.close = function () {
      probes.bitmaps -= 1;
      return close.call(this);
    };
  },

  /** Keep the last texts that were written on canvases, from now on. */
  keepTexts() {
    probes.texts = [];
    const write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
      if (text !== "") probes.texts = [...probes.texts, text].slice(-60);
      return write.call(this, text, ...rest);
    };
  },

  /** Put the tab in the background, as far as a page can tell. */
  hide(hidden) {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  },
};
