// Brings chosen files to the server: a sheet, whose findings have a page of their own, or an image with its manifest.
// The forms are drawn by the server: data-upload and data-image hold the address.
"use strict";
(() => {
  const tell = (form, text, busy) => {
    form.querySelector("[data-upload-said]").textContent = text;
    form.setAttribute("aria-busy", String(busy));
    form.querySelector("[type=submit]").disabled = busy;
  };

  const send = (form, file) => {
    const told = new URLSearchParams({ name: file.name });
    for (const field of form.querySelectorAll("select[name]")) {
      if (field.value && field.name !== "kind") told.set(field.name, field.value);
    }
    const request = new XMLHttpRequest();
    request.open("POST", `${form.dataset.upload}/${form.elements.kind.value}?${told}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      if (event.lengthComputable && event.loaded < event.total) {
        const share = Math.floor((100 * event.loaded) / event.total);
        tell(form, hesperSay("Sending {share} %").replace("{share}", share), true);
      } else {
        tell(form, hesperSay("Reading every row…"), true);
      }
    };
    request.onload = () => {
      const answer = request.response || {};
      if (request.status === 201) {
        location.assign(answer.page);
      } else {
        const said = answer.error || answer.detail;
        tell(form, said || hesperSay("The server did not take the file."), false);
      }
    };
    request.onerror = () => {
      tell(form, hesperSay("The server cannot be reached; nothing was changed."), false);
    };
    request.send(file);
  };

  // First the manifest, then its octets: what the first is refused for, the second need not travel for.
  const asked = (form, method, address, body, progress) => new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    request.responseType = "json";
    if (progress) request.upload.onprogress = progress;
    request.onload = () => {
      const answer = request.response || {};
      if (request.status < 300) { done(answer); return; }
      tell(form, answer.error || answer.detail || hesperSay("The server did not take the file."), false);
      done(null);
    };
    request.onerror = () => { tell(form, hesperSay("The server cannot be reached; nothing was changed."), false); done(null); };
    request.send(body);
  });
  async function image(form) {
    const [manifest, octets] = ["manifest", "octets"].map((name) => form.elements[name].files[0]);
    if (!manifest || !octets) { tell(form, hesperSay("Choose both files first."), false); return; }
    const done = form.querySelector("[data-upload-done]");
    done.textContent = "";
    tell(form, "", true);
    const announced = await asked(form, "POST", form.dataset.image, manifest);
    if (!announced) return;
    const news = form.elements.changelog.value;
    if (news.trim() && !(await asked(form, "PUT", `${form.dataset.image}/${announced.image}/changelog`, news))) return;
    const progress = ({ loaded, total }) => { done.textContent = hesperSay("Sending {share} %", { share: Math.floor((100 * loaded) / total) }); };
    const kept = await asked(form, "PUT", `${form.dataset.image}/${announced.image}`, octets, progress);
    done.textContent = kept ? hesperSay("Version {version} is kept.", { version: kept.version }) : "";
    if (!kept) return;
    tell(form, "", false);
    form.reset();
    for (const input of form.querySelectorAll("input[type=file]")) named(input);
    document.querySelector("[data-watch=images]")?.dispatchEvent(new CustomEvent("changed"));
  }

  // A chosen file's name stands beside the button that covers the browser's own.
  const named = (input) => {
    const shown = input.parentElement.querySelector("[data-file-name]");
    if (shown) shown.textContent = input.files[0]?.name || hesperSay("none chosen");
  };
  document.addEventListener("change", (event) => { if (event.target.matches?.("input[type=file]")) named(event.target); });

  document.addEventListener("submit", (event) => {
    const bringing = event.target.closest("form[data-image]");
    if (bringing) { event.preventDefault(); image(bringing); return; }
    const form = event.target.closest("form[data-upload]");
    if (!form) return;
    event.preventDefault();
    const file = form.querySelector("input[type=file]").files[0];
    if (file) send(form, file);
    else tell(form, hesperSay("Choose a file first."), false);
  });
})();
