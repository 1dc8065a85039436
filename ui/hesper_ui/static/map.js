// The map: our own Web Mercator view. Tiles come from our own server, else the outline is drawn; nothing
// is asked of any other host. Clusters are rings whose parts are what is wrong; gateways are squares.
(() => {
  const SIZE = 256, SVG = "http://www.w3.org/2000/svg", LIST = 60, AGAIN_MS = 15000, ANSWER_MS = 60000, LOOK_MS = 1000;
  const project = ([lat, lon]) => {
    const sin = Math.min(0.9999, Math.max(-0.9999, Math.sin((lat * Math.PI) / 180)));
    return [(lon + 180) / 360, 0.5 - Math.log((1 + sin) / (1 - sin)) / (4 * Math.PI)];
  };
  const unproject = ([x, y]) => [(Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI, x * 360 - 180];
  const svg = (tag, attributes = {}) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const node = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const go = (address) => window.emitEvent("sub_pages_navigate", address);
  const counted = (number) => number.toLocaleString(window.hesperNumbers);
  let outline = null;

  class Chart {
    constructor(host) {
      Object.assign(this, { host, asking: null, waiting: 0, due: Infinity, told: "", picking: false, drag: null, box: null, feeder: host.dataset.feeder || "" });
      this.tiles = node("div", "map-tiles");
      this.land = svg("svg", { class: "map-land", "aria-hidden": "true" });
      this.path = svg("path");
      this.land.append(this.path);
      this.marks = svg("svg", { class: "map-marks" });
      this.frame = node("div", "map-frame");
      const zoom = node("div", "map-zoom");
      for (const [sign, by, said] of [["+", 1, hesperSay("zoom in")], ["−", -1, hesperSay("zoom out")]]) {
        const button = node("button", "btn small", sign);
        button.type = "button";
        button.setAttribute("aria-label", said);
        button.addEventListener("click", () => this.zoom_by(by));
        zoom.append(button);
      }
      host.append(this.tiles, this.land, this.marks, this.frame, zoom);
      this.fit();
      this.listen();
      if (!host.dataset.tiles) this.load_outline();
    }
    get width() { return this.host.clientWidth; }
    get height() { return this.host.clientHeight; }
    get scale() { return SIZE * 2 ** this.zoom; }
    fit() {
      const [south, west, north, east] = this.host.dataset.map.split(",").map(Number);
      const a = project([south, west]), b = project([north, east]);
      const wide = Math.max(1e-6, Math.abs(b[0] - a[0])), high = Math.max(1e-6, Math.abs(b[1] - a[1]));
      this.middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
      this.zoom = Math.max(1, Math.min(16, Math.log2(Math.min((this.width - 80) / wide, (this.height - 80) / high) / SIZE)));
      this.moved();
    }
    at(point) {
      const [x, y] = project(point);
      return [(x - this.middle[0]) * this.scale + this.width / 2, (y - this.middle[1]) * this.scale + this.height / 2];
    }
    from([x, y]) { return unproject([(x - this.width / 2) / this.scale + this.middle[0], (y - this.height / 2) / this.scale + this.middle[1]]); }
    view() {
      const [north, west] = this.from([0, 0]), [south, east] = this.from([this.width, this.height]);
      return [Math.max(-90, south), Math.max(-180, west), Math.min(90, north), Math.min(180, east)];
    }
    zoom_by(by, about = [this.width / 2, this.height / 2]) {
      const before = this.from(about);
      this.zoom = Math.max(1, Math.min(20, this.zoom + by));
      const after = this.at(before);
      this.pan(after[0] - about[0], after[1] - about[1]);
    }
    pan(x, y) {
      this.middle = [this.middle[0] + x / this.scale, Math.min(1, Math.max(0, this.middle[1] + y / this.scale))];
      this.moved();
    }
    moved() {
      this.draw_tiles();
      this.draw_land();
      this.draw_marks();
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.load(), 150);
    }
    draw_tiles() {
      if (!this.host.dataset.tiles) return;
      const level = Math.max(0, Math.min(Number(this.host.dataset.tiles), Math.round(this.zoom))), across = 2 ** level;
      const size = this.scale / across, left = this.middle[0] * this.scale - this.width / 2, top = this.middle[1] * this.scale - this.height / 2;
      const found = [];
      for (let row = Math.max(0, Math.floor(top / size)); row <= Math.min(across - 1, Math.floor((top + this.height) / size)); row++)
        for (let column = Math.max(0, Math.floor(left / size)); column <= Math.min(across - 1, Math.floor((left + this.width) / size)); column++) {
          const key = `${level}/${column}/${row}`;
          const image = this.tiles.querySelector(`[data-tile="${key}"]`) || this.tile(key);
          Object.assign(image.style, { left: `${column * size - left}px`, top: `${row * size - top}px`, width: `${size + 0.5}px`, height: `${size + 0.5}px` });
          found.push(image);
        }
      this.tiles.replaceChildren(...found);
    }
    tile(key) {
      const image = node("img");
      image.alt = "";
      image.dataset.tile = key;
      image.addEventListener("error", () => { image.style.visibility = "hidden"; });
      image.src = `/console/tiles/${key}`;
      return image;
    }
    async load_outline() {
      try {
        outline ||= await (await fetch(document.querySelector("meta[name=hesper-outline]").content)).json();
        this.draw_land();
      } catch { /* the marks stand without it */ }
    }
    draw_land() {
      if (!outline || this.host.dataset.tiles) return;
      let text = "";
      for (const arc of outline) {
        let lon = 0, lat = 0;
        for (let index = 0; index < arc.length; index += 2) {
          lon += arc[index];
          lat += arc[index + 1];
          const [x, y] = this.at([lat / 100, lon / 100]);
          text += `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
        }
      }
      this.path.setAttribute("d", text);
    }
    async load() {
      this.asking?.abort();
      this.due = Infinity; // not again before this answer
      const mine = this.asking = new AbortController(), late = setTimeout(() => mine.abort(), ANSWER_MS);
      const asked = new URLSearchParams({ box: this.view().map((each) => each.toFixed(6)).join(",") });
      asked.set("across", Math.max(4, Math.round(this.width / 80)));
      if (this.feeder) asked.set("feeder", this.feeder);
      let told = this.told;
      try {
        const answer = await fetch(`/console/map?${asked}`, { cache: "no-store", signal: mine.signal });
        if (answer.ok) told = await answer.text();
      } catch { /* what is drawn stays; the frame says that the server is away */ }
      clearTimeout(late);
      if (mine !== this.asking) return;
      this.due = performance.now() + AGAIN_MS;
      if (told !== this.told && this.host.isConnected) this.take(told);
    }
    take(told) {
      this.told = told;
      this.found = JSON.parse(told);
      this.draw_marks();
      this.draw_list();
    }
    draw_marks() {
      if (!this.found) return;
      const most = Math.max(1, ...this.found.clusters.map((each) => each.count));
      const spots = this.found.gateways.map((each) => this.square(each));
      this.marks.replaceChildren(...spots, ...this.found.clusters.map((each) => this.ring(each, most)));
    }
    square(each) {
      const [x, y] = this.at(each.at), mark = svg("rect", { x: x - 7, y: y - 7, width: 14, height: 14, class: `map-square map-${each.mark}` });
      const title = svg("title");
      title.textContent = `${each.id} · ${each.word}`;
      mark.append(title);
      mark.addEventListener("click", () => go(`/gateways/${encodeURIComponent(each.id)}`));
      return mark;
    }
    ring(each, most) {
      const [x, y] = this.at(each.at), radius = each.count === 1 ? 7 : 11 + 13 * Math.sqrt(each.count / most);
      const group = svg("g", { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, class: "map-cluster" });
      group.append(svg("circle", { r: radius, class: "map-disc" }));
      const length = 2 * Math.PI * (radius - 2);
      let from = 0;
      for (const part of ["critical", "warning", "silent"]) {
        const share = (each[part] / each.count) * length;
        if (share) group.append(svg("circle", { r: radius - 2, class: `map-part map-${part}`, "stroke-dasharray": `${share} ${length}`, "stroke-dashoffset": -from, transform: "rotate(-90)" }));
        from += share;
      }
      if (each.count > 1) {
        const text = svg("text", { "text-anchor": "middle", dy: "0.35em" });
        text.textContent = each.count > 9999 ? `${Math.round(each.count / 1000)}k` : String(each.count);
        group.append(text);
      }
      const title = svg("title");
      title.textContent = each.meter || hesperSay("{count} meters: {critical} critical, {warning} warning, {silent} silent", { count: counted(each.count), critical: each.critical, warning: each.warning, silent: each.silent });
      group.append(title);
      group.addEventListener("click", () => (each.meter ? go(`/meters/${encodeURIComponent(each.meter)}`) : this.zoom_by(1.5, [x, y])));
      return group;
    }
    draw_list() {
      const list = document.querySelector("[data-map-list]"), count = document.querySelector("[data-map-count]");
      const said = hesperSay("{count} meters in view", { count: counted(this.found.total) });
      if (count && count.textContent !== said) count.textContent = said; // it is read aloud when it changes
      const focused = list?.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      list?.replaceChildren(...this.found.listed.map((each) => {
        const row = node("li"), what = node("div"), link = node("a", "", each.id), mark = node("span", `mark mark-${each.mark}`);
        mark.setAttribute("aria-hidden", "true");
        link.href = `/meters/${encodeURIComponent(each.id)}`;
        what.append(link, node("div", "meta", [each.word, each.note].filter(Boolean).join(" · ")));
        row.append(mark, what, node("span"));
        return row;
      }));
      if (this.found.total > LIST) list?.append(node("li", "meta", hesperSay("the first {count}", { count: LIST })));
      if (focused) (list.querySelector(`a[href="${CSS.escape(focused)}"]`) || this.host).focus({ preventScroll: true });
    }
    listen() {
      const place = (event) => { const box = this.host.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
      this.host.addEventListener("wheel", (event) => { event.preventDefault(); this.zoom_by(event.deltaY < 0 ? 0.4 : -0.4, place(event)); }, { passive: false });
      this.host.addEventListener("pointerdown", (event) => {
        if (event.target.closest("button")) return;
        this.drag = { last: place(event), first: place(event) };
      });
      this.host.addEventListener("pointermove", (event) => {
        if (!this.drag || !event.buttons) { this.drag = null; return; }
        const here = place(event), [x, y] = this.drag.last;
        if (this.picking) this.show_frame(this.drag.first, here);
        else this.pan(x - here[0], y - here[1]);
        this.drag.last = here;
      });
      this.host.addEventListener("pointerup", () => { if (this.drag && this.picking) this.pick(this.drag.first, this.drag.last); this.drag = null; });
      this.host.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, -80], ArrowDown: [0, 80] }[event.key];
        if (step) { event.preventDefault(); this.pan(...step); }
        if (event.key === "+" || event.key === "=") this.zoom_by(1);
        if (event.key === "-") this.zoom_by(-1);
      });
      new ResizeObserver(() => this.moved()).observe(this.host);
    }
    show_frame(a, b) {
      const [left, top] = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
      Object.assign(this.frame.style, { display: "block", left: `${left}px`, top: `${top}px`, width: `${Math.abs(a[0] - b[0])}px`, height: `${Math.abs(a[1] - b[1])}px` });
    }
    async pick(a, b) {
      const [north, west] = this.from([Math.min(a[0], b[0]), Math.min(a[1], b[1])]), [south, east] = this.from([Math.max(a[0], b[0]), Math.max(a[1], b[1])]);
      const filter = { box: [south, west, north, east].map((each) => each.toFixed(6)).join(",") };
      if (this.feeder) filter.feeder = this.feeder;
      const answer = await fetch("/console/selections", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ filter }) });
      const bar = document.querySelector("[data-map-selection]");
      if (!answer.ok || !bar) return;
      this.held = await answer.json();
      bar.hidden = false;
      bar.querySelector("[data-map-selected]").textContent = hesperSay("{count} selected", { count: counted(this.held.total) });
    }
  }

  let chart = null;
  document.addEventListener("click", (event) => {
    const pick = event.target.closest?.("[data-map-select]"), use = event.target.closest?.("[data-map-use]");
    if (pick && chart) {
      chart.picking = !chart.picking;
      pick.setAttribute("aria-pressed", String(chart.picking));
      chart.host.classList.toggle("picking", chart.picking);
      if (!chart.picking) chart.frame.style.display = "none";
    }
    if (use && chart?.held) go(`${use.dataset.mapUse}?selection=${chart.held.id}`);
  });
  document.addEventListener("change", (event) => {
    if (!event.target.matches?.("[data-map-feeder]") || !chart) return;
    chart.feeder = event.target.value;
    chart.load();
  });
  // An open map loads again by itself while it can be seen and the server is there; at once after a loss.
  setInterval(() => {
    if (!chart?.host.isConnected || document.hidden) return;
    const link = document.documentElement.dataset.link;
    if (link === "lost") chart.due = 0;
    if (link === "live" && performance.now() >= chart.due) chart.load();
  }, LOOK_MS);
  // The page comes and goes inside the frame: whenever its host is there and has no map yet, one is made.
  new MutationObserver(() => {
    const host = document.querySelector("[data-map]");
    if (host && chart?.host !== host && host.clientWidth) chart = new Chart(host);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
