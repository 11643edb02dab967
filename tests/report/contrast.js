// Texts whose contrast with what lies behind them is below WCAG's 4.5.
(() => {
  const curve = (x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) =>
    0.2126 * curve(r / 255) + 0.7152 * curve(g / 255) + 0.0722 * curve(b / 255);
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const color = rgb(getComputedStyle(n).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const speaks = (n) => [...n.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim());
  const bad = new Set();
  for (const node of document.querySelectorAll("main *, header *, footer *")) {
    if (!speaks(node) || !node.checkVisibility() || node.tagName === "title") continue;
    const style = getComputedStyle(node);
    const ink = light(rgb(node.ownerSVGElement ? style.fill : style.color));
    const paper = light(behind(node));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    const words = `${node.tagName}.${node.getAttribute("class")}: ${ratio.toFixed(2)}`;
    if (ratio < 4.5 || style.opacity !== "1") bad.add(words);
  }
  return [...bad];
})()
