// SPDX-License-Identifier: BSD-2-Clause
// Shows what is told of the part of a drawing that a pointer or a finger is on. Without this script the
// texts are titles, which browsers show after a while, and on a phone not at all.
(() => {
  "use strict";
  const told = document.getElementById("told"), texts = new WeakMap();
  for (const title of document.querySelectorAll("svg title")) {
    texts.set(title.parentElement, title.textContent);
    title.remove();
  }

  function show(event) {
    let part = event.target;
    while (part instanceof Element && !texts.has(part)) part = part.parentElement;
    if (!(part instanceof Element)) return hide();
    told.textContent = texts.get(part);
    told.hidden = false;
    const { clientWidth, clientHeight } = document.documentElement;
    const left = Math.min(event.clientX + 12, clientWidth - told.offsetWidth - 8);
    const below = event.clientY + 20, above = event.clientY - told.offsetHeight - 12;
    told.style.left = `${Math.max(8, left)}px`;
    told.style.top = `${below + told.offsetHeight > clientHeight ? Math.max(8, above) : below}px`;
  }

  function hide() {
    told.hidden = true;
  }

  for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, show);
  for (const name of ["scroll", "pointerleave", "blur"]) addEventListener(name, hide, { passive: true });
})();
